"""A source model and its plans' models on a bench: each is put through the same, one by one."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

from qcqa.errors import EvaluationError
from qcqa.measure.benchmark import Benchmark
from qcqa.measure.cache_bytes import cache_bytes_per_token
from qcqa.measure.evaluable import require_readable
from qcqa.measure.evaluation import Evaluation
from qcqa.measure.measured_folder import MeasuredFolder
from qcqa.measure.parts import Part, Scores, TextPart, parts_of
from qcqa.measure.plan_models import SOURCE, PlanModels, plan_label
from qcqa.measure.promised_cache import promised_cache
from qcqa.measure.samples import Samples
from qcqa.measure.speed import measure_decode_speed
from qcqa.plan.plan import Measurement, Plan
from qcqa.progress import OnProgress, nth_model, silent, within
from qcqa.text.through_cache import piece_tokens_of

_CONVERTED = "converted"

#: Figures of a model, and the samples of those that are means.
_Found = tuple[tuple[Measurement, ...], tuple[Samples, ...]]


class Bench:
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
        self._on_progress = on_progress or silent
        self._parts = list(parts_of(benchmark))
        self._scores_of_source: dict[Part, Mapping[str, Scores]] = {}
        #: What was found by the plans' digests: two methods may have found the same plan.
        self._found: dict[str, _Found] = {}

    def rows(self, plans: Sequence[Plan]) -> Iterator[Evaluation]:
        """Yield the source's row, then those of plans, each when it has been measured."""
        self._models.require_texts(
            plan for plan in plans if self._kept(plan.method, plan.digest) is None
        )
        yield self.row_of_source()
        for number, plan in enumerate(plans, start=1):
            yield self.row_of_plan(number, plan)

    def row_of_source(self) -> Evaluation:
        """Return the source's row, from the folder if it is there."""
        if (kept := self._kept("mha", "")) is not None:
            return kept
        # Quick to fail, unlike the weights.
        require_readable(self._models, self._benchmark, self._parts)
        key = self._key("mha", "")
        measured, samples = _unique(self._measure_source())
        spec = self._models.checkpoint.spec
        row = Evaluation.of_source(spec, self._benchmark, measured, samples=samples, **self._where)
        return self._keep(key, row)

    def row_of_plan(self, number: int, plan: Plan) -> Evaluation:
        """Return a plan's row, from the folder if it is there; ``number`` is for progress."""
        key = self._key(plan.method, plan.digest)
        if (kept := self._kept(plan.method, plan.digest)) is not None:
            self._found[plan.digest] = (kept.measured, kept.samples)
            return kept
        if plan.digest not in self._found:
            self._found[plan.digest] = _unique(self._measure_plan(number, plan))
        measured, samples = self._found[plan.digest]
        row = Evaluation.of_plan(
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
        for place, part in enumerate(self._parts, start=1):
            if isinstance(part, TextPart):
                return part.lengths(self._source_on(part, number, place))
        return ()

    def _measure_source(self) -> Iterator[Measurement | Samples]:
        yield _cache_figure(cache_bytes_per_token(self._models.source))
        for place, part in enumerate(self._parts, start=1):
            yield from _figures_and_samples(self._source_on(part, 0, place))
        if self._benchmark.speed:
            report = self._reporter(SOURCE, 0, 1 + len(self._parts), "speed")
            models = {SOURCE: self._models.source}
            speeds = measure_decode_speed(models, self._benchmark.speed, on_progress=report)
            yield from speeds[SOURCE].measurements()

    def _measure_plan(self, number: int, plan: Plan) -> Iterator[Measurement | Samples]:
        label = plan_label(plan)
        model = self._models.model_of(plan, self._reporter(label, number, 0))
        yield _cache_figure(promised_cache(model, plan, label))
        for place, part in enumerate(self._parts, start=1):
            of_source = self._source_on(part, number, place)
            report = self._reporter(label, number, place, part.label)
            scores = part.score(
                model,
                self._models.tokenizer,
                report,
                source=self._models.source,
                piece_tokens=piece_tokens_of(plan),
            )
            yield from _figures_and_samples(scores)
            for name, score in scores.items():
                if name not in of_source:
                    raise EvaluationError(
                        f"the scores of the source that are kept have no task {name}",
                        expected="those of the same benchmark",
                        remedy="delete measured/source-*.safetensors in the run",
                    )
                yield from score.compared_with(of_source[name])
        if self._benchmark.speed:
            report = self._reporter(label, number, 1 + len(self._parts), "speed")
            models = {SOURCE: self._models.source, _CONVERTED: model}
            speeds = measure_decode_speed(models, self._benchmark.speed, on_progress=report)
            yield from speeds[_CONVERTED].measurements()
            yield from speeds[_CONVERTED].compared_with(speeds[SOURCE])

    def _source_on(self, part: Part, number: int, place: int) -> Mapping[str, Scores]:
        """Return what the source scores on a part: measured now or earlier."""
        if part not in self._scores_of_source:
            self._scores_of_source[part] = self._read(part) or self._score_source(
                part, self._reporter(SOURCE, number, place, part.label)
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

    def _keep(self, key: str, row: Evaluation) -> Evaluation:
        if self._folder:
            self._folder.save(key, row)
        return row

    def _kept(self, method: str, plan_digest: str) -> Evaluation | None:
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
        named = [self._models.fingerprint, self._where, content]
        return sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:24]

    def _reporter(
        self, label: str, number: int, place: int, stage: str | None = None
    ) -> OnProgress:
        """Return what a stage of a model reports to: 0 is loading or making it, then the parts."""
        num_models = self._num_models
        num_stages = 1 + len(self._parts) + (self._benchmark.speed is not None)
        of_model = within(
            self._on_progress,
            number / num_models,
            (number + 1) / num_models,
            name=nth_model(label, number, num_models),
        )
        return within(of_model, place / num_stages, (place + 1) / num_stages, stage=stage)


def _figures_and_samples(scores: Mapping[str, Scores]) -> Iterator[Measurement | Samples]:
    for score in scores.values():
        yield from score.measurements()
        yield from score.samples()


def _unique(found: Iterable[Measurement | Samples]) -> _Found:
    """Return each figure once, and its samples: a task may come by itself and in a group."""
    figures_and_samples = list(found)
    figures = {item.metric: item for item in figures_and_samples if isinstance(item, Measurement)}
    samples = {item.metric: item for item in figures_and_samples if isinstance(item, Samples)}
    return tuple(figures.values()), tuple(
        sample for sample in samples.values() if sample.metric in figures
    )


def _cache_figure(bytes_per_token: float) -> Measurement:
    return Measurement("cache_bytes_per_token", bytes_per_token)
