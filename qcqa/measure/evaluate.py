"""Measure the models that plans make of their source, beside the source itself."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

from qcqa.errors import EvaluationError
from qcqa.measure.benchmark import Benchmark
from qcqa.measure.cache_bytes import cache_bytes_per_token
from qcqa.measure.evaluated import Evaluated
from qcqa.measure.measured_folder import MeasuredFolder
from qcqa.measure.parts import Part, Scores, TextPart, parts_of
from qcqa.measure.plan_models import OnMaking, PlanModels, models_of, plan_label
from qcqa.measure.promised_cache import promised_cache
from qcqa.measure.samples import Samples
from qcqa.measure.speed import measure_decode_speed, require_context
from qcqa.measure.texts_apart import refuse_calibration_text
from qcqa.plan.plan import Measurement, Plan
from qcqa.progress import OnProgress, Progress, nth_model
from qcqa.text.fitted import FittedFolder
from qcqa.text.through_cache import piece_tokens_of

OnRow = Callable[[Evaluated], None]

_SOURCE, _CONVERTED = "source", "converted"

#: Figures of a model, and the samples of those that are means.
_Found = tuple[tuple[Measurement, ...], tuple[Samples, ...]]


def evaluate_plans(
    model: str,
    plans: Sequence[Plan],
    benchmark: Benchmark,
    *,
    revision: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    folder: MeasuredFolder | None = None,
    calibrations: Path | None = None,
    fitted: FittedFolder | None = None,
    on_progress: OnProgress | None = None,
    on_row: OnRow | None = None,
) -> list[Evaluated]:
    """Measure a source model and the models that plans make of it.

    The source is read once. A plan's model shares all of its weights but the attention's, so that
    memory holds one model and one more attention.

    Parameters
    ----------
    model : str
        Local folder, Hub id, or ``demo``.
    plans : sequence of Plan
        Made for this model; those that make the same model of it are measured once.
    benchmark : Benchmark
        What is measured.
    revision : str, optional
        Branch, tag or commit on the Hub.
    device, dtype : str
        Where, and in which type, the models run: ``auto``, ``cpu``, ``cuda`` …; ``auto``,
        ``float32`` …
    folder : MeasuredFolder, optional
        Where figures are kept as they come, and the source's scores; what was measured there by
        the same benchmark is not measured again.
    calibrations : Path, optional
        Where the calibration that plans rest on is looked for, and kept; it is made again from
        its text where it is missing.
    fitted : FittedFolder, optional
        Where the attention of plans is kept that were merged or refitted by a calibration.
    on_progress : callable, optional
        Called often; raising from it ends the evaluation, and what was measured is kept.
    on_row : callable, optional
        Called with each row of the result as soon as it is there.

    Returns
    -------
    list of Evaluated
        The source, then the plans in their order.

    Raises
    ------
    EvaluationError
        If the benchmark's data cannot be used or are what a plan was calibrated on, or a live KV
        cache is not of the promised size.
    QCQAError
        If the model or a plan cannot be used.
    """
    refuse_calibration_text(plans, benchmark)
    with models_of(
        model,
        plans,
        revision=revision,
        device=device,
        dtype=dtype,
        calibrations=calibrations,
        fitted=fitted,
    ) as models:
        if folder:
            folder.make()
        bench = _Bench(models, benchmark, folder, 1 + len(plans), on_progress)
        rows = []
        for row in bench.rows(plans):
            rows.append(row)
            if on_row:
                on_row(row)
    return rows


def require_evaluable(
    model: str,
    plans: Sequence[Plan],
    benchmark: Benchmark,
    *,
    revision: str | None = None,
    fitted: FittedFolder | None = None,
) -> int:
    """Refuse, before weights are read, what :func:`evaluate_plans` could not bring to an end.

    Parameters
    ----------
    model, plans, benchmark, revision, fitted
        As in :func:`evaluate_plans`.

    Returns
    -------
    int
        Tokens of the text that every model reads.

    Raises
    ------
    QCQAError
        If the model cannot be opened or is no language model, the text has too few tokens or such
        as it does not know, the load is beyond its context, or a plan's calibration text is gone.
    """
    refuse_calibration_text(plans, benchmark)
    models = PlanModels.to_look_at(model, revision=revision, fitted=fitted)
    tokens = _require_readable(models, benchmark, list(parts_of(benchmark)))
    models.require_texts(plans)
    return tokens


def _require_readable(models: PlanModels, benchmark: Benchmark, parts: Sequence[Part]) -> int:
    """Return how many tokens of the text a model reads."""
    tokens = sum(part.require_readable(models.config, models.tokenizer) for part in parts)
    if benchmark.speed:
        require_context(models.config, benchmark.speed, name=_SOURCE)
    return tokens


class _Bench:
    """A source model, and what it and its plans' models are put through.

    Parameters
    ----------
    models : PlanModels
        The source, and what plans make of it.
    num_models : int
        How many models there are in all, for progress.
    benchmark, folder, on_progress
        As in :func:`evaluate_plans`.
    """

    def __init__(
        self,
        models: PlanModels,
        benchmark: Benchmark,
        folder: MeasuredFolder | None,
        num_models: int,
        on_progress: OnProgress | None,
    ):
        self._models = models
        self._benchmark = benchmark
        self._where = models.where
        self._folder = folder
        self._num_models = num_models
        self._on_progress = on_progress
        self._parts = list(parts_of(benchmark))
        self._scores_of_source: dict[Part, Mapping[str, Scores]] = {}
        #: What was found by the plans' digests: two methods may have found the same plan.
        self._found: dict[str, _Found] = {}

    def rows(self, plans: Sequence[Plan]) -> Iterator[Evaluated]:
        """Yield the source's row, then those of plans, each when it has been measured."""
        self._models.require_texts(
            plan for plan in plans if self._kept(plan.method, plan.digest) is None
        )
        yield self.row_of_source()
        for number, plan in enumerate(plans, start=1):
            yield self.row_of_plan(number, plan)

    def row_of_source(self) -> Evaluated:
        """Return the source's row, from the folder if it is there."""
        if (kept := self._kept("mha", "")) is not None:
            return kept
        # Quick to fail, unlike the weights.
        _require_readable(self._models, self._benchmark, self._parts)
        key = self._key("mha", "")
        measured, samples = _unique(self._measure_source())
        spec = self._models.checkpoint.spec
        row = Evaluated.of_source(spec, self._benchmark, measured, samples=samples, **self._where)
        return self._keep(key, row)

    def row_of_plan(self, number: int, plan: Plan) -> Evaluated:
        """Return a plan's row, from the folder if it is there; ``number`` is for progress."""
        key = self._key(plan.method, plan.digest)
        if (kept := self._kept(plan.method, plan.digest)) is not None:
            self._found[plan.digest] = (kept.measured, kept.samples)
            return kept
        if plan.digest not in self._found:
            self._found[plan.digest] = _unique(self._measure_plan(number, plan))
        measured, samples = self._found[plan.digest]
        row = Evaluated.of_plan(
            plan,
            self._benchmark,
            measured,
            samples=samples,
            piece_tokens=piece_tokens_of(plan) if self._parts else None,
            lengths=self._lengths(number),
            **self._where,
        )
        return self._keep(key, row)

    def _lengths(self, number: int) -> Iterable[int]:
        """Return how many tokens of the text a model reads behind each other, window by window."""
        for place, part in enumerate(self._parts):
            if isinstance(part, TextPart):
                return part.lengths(self._source_on(part, number, place))
        return ()

    def _measure_source(self) -> Iterator[Measurement | Samples]:
        yield _cache_figure(cache_bytes_per_token(self._models.source))
        for place, part in enumerate(self._parts):
            yield from _own_figures(self._source_on(part, 0, place))
        if self._benchmark.speed:
            report = self._reporter(_SOURCE, "speed", 0, len(self._parts))
            models = {_SOURCE: self._models.source}
            speeds = measure_decode_speed(models, self._benchmark.speed, on_progress=report)
            yield from speeds[_SOURCE].measurements()

    def _measure_plan(self, number: int, plan: Plan) -> Iterator[Measurement | Samples]:
        label = plan_label(plan)
        model = self._models.model_of(plan, self._converting(label, number))
        yield _cache_figure(promised_cache(model, plan, label))
        for place, part in enumerate(self._parts):
            of_source = self._source_on(part, number, place)
            report = self._reporter(label, part.label, number, place)
            scores = part.score(
                model,
                self._models.tokenizer,
                report,
                source=self._models.source,
                piece_tokens=piece_tokens_of(plan),
            )
            yield from _own_figures(scores)
            for name, one in scores.items():
                yield from one.compared_with(of_source[name])
        if self._benchmark.speed:
            report = self._reporter(label, "speed", number, len(self._parts))
            models = {_SOURCE: self._models.source, _CONVERTED: model}
            speeds = measure_decode_speed(models, self._benchmark.speed, on_progress=report)
            yield from speeds[_CONVERTED].measurements()
            yield from speeds[_CONVERTED].compared_with(speeds[_SOURCE])

    def _source_on(self, part: Part, number: int, place: int) -> Mapping[str, Scores]:
        """Return what the source scores on a part: measured now or earlier."""
        if part not in self._scores_of_source:
            self._scores_of_source[part] = self._read(part) or self._score_source(
                part, self._reporter(_SOURCE, part.label, number, place)
            )
        return self._scores_of_source[part]

    def _read(self, part: Part) -> Mapping[str, Scores] | None:
        for path in self._scores_files(part):
            try:
                return part.load(path)
            except EvaluationError:
                # Missing or damaged: it is measured again.
                continue
        return None

    def _score_source(self, part: Part, report: OnProgress) -> Mapping[str, Scores]:
        scores = part.score(self._models.source, self._models.tokenizer, report)
        for path in self._scores_files(part)[:1]:
            part.save(scores, path)
        return scores

    def _scores_files(self, part: Part) -> tuple[Path, ...]:
        key = self._hash(part.content)
        return self._folder.scores_files(key) if self._folder else ()

    def _keep(self, key: str, row: Evaluated) -> Evaluated:
        if self._folder:
            self._folder.save(key, row)
        return row

    def _kept(self, method: str, plan_digest: str) -> Evaluated | None:
        """Return the row of a model that was measured before, if it has all that is asked."""
        row = self._folder.row(self._key(method, plan_digest)) if self._folder else None
        if row is None or not row.is_comparable:
            return None
        # What is hidden of a row is measured again.
        return row if row.benchmark == self._benchmark else None

    def _key(self, method: str, plan_digest: str) -> str:
        """Return a name for a row: the same model, benchmark and data, the same name."""
        data = [part.content for part in self._parts]
        asked = asdict(self._benchmark)
        # Says nothing of the figures.
        del asked["allow_task_code"]
        return self._hash([method, plan_digest, asked, data])

    def _hash(self, content: object) -> str:
        told = [self._models.fingerprint, self._where, content]
        return sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:24]

    def _converting(self, label: str, number: int) -> OnMaking:
        """Return what tells of a plan's conversion, which takes time where it refits."""

        def report(what: str, layer: int, total: int, _done: float) -> None:
            if self._on_progress:
                fraction = number / self._num_models
                model = nth_model(label, number, self._num_models)
                self._on_progress(Progress(f"{model}: {what}", layer, total, fraction))

        return report

    def _reporter(self, label: str, stage: str, number: int, place: int) -> OnProgress:
        """Return what turns a part's progress into that of the whole job."""
        num_stages = len(self._parts) + (self._benchmark.speed is not None)

        def report(progress: Progress) -> None:
            if self._on_progress:
                of_model = (place + progress.fraction) / num_stages
                self._on_progress(
                    Progress(
                        stage=f"{nth_model(label, number, self._num_models)}: {stage}",
                        step=progress.step,
                        total=progress.total,
                        fraction=(number + of_model) / self._num_models,
                    )
                )

        return report


def _own_figures(scores: Mapping[str, Scores]) -> Iterator[Measurement | Samples]:
    for one in scores.values():
        yield from one.measurements()
        yield from one.samples()


def _unique(found: Iterable[Measurement | Samples]) -> _Found:
    """Return each figure once, and its samples: a task may come by itself and in a group."""
    told = list(found)
    figures = {one.metric: one for one in told if isinstance(one, Measurement)}
    samples = {one.metric: one for one in told if isinstance(one, Samples)}
    return tuple(figures.values()), tuple(one for one in samples.values() if one.metric in figures)


def _cache_figure(bytes_per_token: float) -> Measurement:
    return Measurement("cache_bytes_per_token", bytes_per_token)
