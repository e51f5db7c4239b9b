"""Measure how far a model's predictions move when one layer alone is reduced."""

import json
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from qcqa.errors import EvaluationError
from qcqa.measure.benchmark import Benchmark
from qcqa.measure.layer_scores import LayerScores, load_layer_scores
from qcqa.measure.parts import require_enough
from qcqa.measure.plan_models import PlanModels, models_of, plan_label
from qcqa.measure.sensitivity import (
    LayerSensitivity,
    SensitivitySettings,
    TextAmount,
    digest_of_text,
    num_passes,
    reduced_layers,
)
from qcqa.measure.text import text_windows
from qcqa.measure.texts_apart import refuse_calibration_text
from qcqa.plan.plan import Plan
from qcqa.progress import OnProgress, Progress, silent, within
from qcqa.text.documents import demo_documents, read_documents
from qcqa.text.fitted import FittedFolder, needs_text
from qcqa.text.layer_meter import LayerMeter
from qcqa.text.running import context_limit, default_batch_tokens
from qcqa.text.windows import Window, evenly

#: Of a batch: enough to keep a machine busy, few enough that a stopped measurement loses little.
_BATCH_TOKENS = 2048

#: Of the whole work, where the plan's model has to be made by a calibration: a guess.
_MAKING_SHARE = 0.5


def layer_sensitivity(
    model: str,
    plan: Plan,
    settings: SensitivitySettings,
    *,
    revision: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    calibrations: Path | None = None,
    fitted: FittedFolder | None = None,
    kept: Path | None = None,
    on_progress: OnProgress = silent,
) -> LayerSensitivity:
    """Measure for each layer of a plan what reducing it alone does to the predictions.

    All other layers are as in the source. The figures are the Kullback-Leibler divergence from the
    source's predictions and the share of tokens at which both have the same most probable one. They
    do not add up to those of the whole plan. Layers in which no heads share are not run.

    Parameters
    ----------
    model, revision, device, dtype, calibrations, fitted
        As in :func:`~qcqa.measure.evaluate.evaluate_plans`.
    plan : Plan
        Made for this model.
    settings : SensitivitySettings
        The text, and how much of it is read.
    kept : Path, optional
        A safetensors file in which batches are kept as they come: a measurement that stopped goes
        on from there. It is the caller's to remove.
    on_progress : callable, optional
        Called before every pass; raising from it ends the measurement.

    Returns
    -------
    LayerSensitivity
        A figure for each of the ``L`` layers, with standard errors clustered by document where
        there are enough of them, else by window.

    Raises
    ------
    EvaluationError
        If the text cannot be used or is what the plan was calibrated on, or no heads share.
    QCQAError
        If the model or the plan cannot be used.
    """
    _require_shared(plan)
    refuse_calibration_text([plan], Benchmark(text=settings.text))
    with models_of(
        model,
        [plan],
        revision=revision,
        device=device,
        dtype=dtype,
        calibrations=calibrations,
        fitted=fitted,
    ) as models:
        models.require_texts([plan])
        # Quick to fail, unlike the weights.
        text_digest = digest_of_text(settings.text)
        windows = _windows(models.config, models.tokenizer, settings)
        measurement = _Measurement(
            models,
            plan,
            settings,
            windows,
            text_digest=text_digest,
            kept=kept,
            making_share=_MAKING_SHARE if needs_text(plan, fitted) else 0.0,
            on_progress=on_progress,
        )
        return measurement.carry_out()


def require_sensitivity(
    model: str,
    plan: Plan,
    settings: SensitivitySettings,
    *,
    revision: str | None = None,
    fitted: FittedFolder | None = None,
) -> TextAmount:
    """Refuse, before weights are read, what :func:`layer_sensitivity` could not bring to an end.

    Parameters
    ----------
    model, plan, settings, revision, fitted
        As in :func:`layer_sensitivity`.

    Returns
    -------
    TextAmount
        What would be read.

    Raises
    ------
    QCQAError
        As :func:`layer_sensitivity`.
    """
    _require_shared(plan)
    refuse_calibration_text([plan], Benchmark(text=settings.text))
    models = PlanModels.to_look_at(model, revision=revision, fitted=fitted)
    windows = _windows(models.config, models.tokenizer, settings)
    models.require_texts([plan])
    return TextAmount(
        len(windows), sum(len(window.query.targets) for window in windows), _longest(windows)
    )


def _require_shared(plan: Plan) -> None:
    if plan.has_codecs:
        # Layers are read in one call, without a cache.
        raise EvaluationError(
            "layers of a plan in fewer bits, one at a time",
            expected="a plan of heads alone",
            remedy="see what each adds to the error, which was measured in the search",
        )
    if not reduced_layers(plan):
        raise EvaluationError(
            "a plan in which no heads share", expected="a plan that reduces at least one layer"
        )


def _windows(
    config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase, settings: SensitivitySettings
) -> list[Window]:
    """Return windows taken evenly from the text, the longest first."""
    text = settings.text
    length = min(settings.window_tokens, context_limit(config) or settings.window_tokens)
    windows = text_windows(
        config,
        tokenizer,
        demo_documents() if text == "demo" else read_documents(text),
        data=settings.text_name,
        window_tokens=length,
    )
    chosen = evenly(windows, settings.num_windows)
    require_enough(chosen, settings.text_name)
    # Like lengths together: little padding, and a batch that does not fit fails at once.
    return sorted(chosen, key=lambda window: -len(window.query.token_ids))


def _longest(windows: Sequence[Window]) -> int:
    """Return the tokens of the first of some windows, with the last that is predicted."""
    return len(windows[0].query.token_ids) + 1


class _Measurement:
    """One plan's layers, measured batch by batch.

    Parameters
    ----------
    models : PlanModels
        The source, and what the plan makes of it.
    plan, settings, kept, on_progress
        As in :func:`layer_sensitivity`.
    windows : sequence of Window
        Of the text, the longest first.
    text_digest : str
        :func:`~qcqa.measure.sensitivity.digest_of_text` of it.
    making_share : float
        Of the whole work, what making the plan's model takes.
    """

    def __init__(
        self,
        models: PlanModels,
        plan: Plan,
        settings: SensitivitySettings,
        windows: Sequence[Window],
        *,
        text_digest: str,
        kept: Path | None,
        making_share: float,
        on_progress: OnProgress,
    ):
        self._models, self._plan, self._settings = models, plan, settings
        self._windows, self._text_digest = windows, text_digest
        self._layers = reduced_layers(plan)
        self._kept = kept
        self._on_making = within(on_progress, 0.0, making_share)
        self._on_measuring = within(on_progress, making_share, 1.0)

    def carry_out(self) -> LayerSensitivity:
        """Measure what is not kept, and return what all comes to."""
        key = self._key()
        scores = load_layer_scores(self._kept, key) or LayerScores.none(len(self._layers))
        self._on_making(Progress("loading the model", 0, 0, 0.0))
        if scores.num_windows < len(self._windows):
            making = within(self._on_making, 0.0, 1.0, name=plan_label(self._plan))
            merged = self._models.model_of(self._plan, making)
            meter = LayerMeter(self._models.source, merged)
            for batch in self._batches(scores.num_windows):
                scores = self._measure(meter, batch, scores)
                if self._kept:
                    scores.save(self._kept, key)
        return self._result(scores)

    def _measure(
        self, meter: LayerMeter, batch: Sequence[Window], scores: LayerScores
    ) -> LayerScores:
        began = time.perf_counter()
        total, before = len(self._windows), scores.num_windows
        num_passes_done = 0

        def on_pass(layer: int | None) -> None:
            nonlocal num_passes_done
            done = before + len(batch) * num_passes_done / (1 + len(self._layers))
            num_passes_done += 1
            stage = "source" if layer is None else f"layer {layer} alone"
            self._on_measuring(Progress(stage, before + len(batch), total, done / total))

        kl, is_same = meter([window.query for window in batch], self._layers, on_pass)
        return scores.and_of(batch, kl, is_same, time.perf_counter() - began)

    def _batches(self, first: int) -> Iterator[Sequence[Window]]:
        """Yield windows that are read together, from the first that is not measured yet."""
        # Logits of two models lie in memory.
        room = min(_BATCH_TOKENS, default_batch_tokens(self._models.source) // 2)
        size = max(1, room // len(self._windows[0].query.token_ids))
        for start in range(first, len(self._windows), size):
            yield self._windows[start : start + size]

    def _key(self) -> str:
        """Return a hash of all that decides the scores."""
        text = [
            (window.document, window.query.token_ids, window.query.targets)
            for window in self._windows
        ]
        content = [self._models.fingerprint, self._models.where, self._plan.digest, text]
        return sha256(json.dumps(content).encode()).hexdigest()[:24]

    def _result(self, scores: LayerScores) -> LayerSensitivity:
        plan, num_tokens = self._plan, len(scores.window)
        return LayerSensitivity(
            method=plan.method,
            kv_ratio=plan.kv_ratio,
            plan_digest=plan.digest,
            settings=self._settings,
            window_tokens=_longest(self._windows),
            num_windows=len(self._windows),
            num_tokens=num_tokens,
            device=self._models.where["device"],
            dtype=str(self._models.source.dtype).removeprefix("torch."),
            seconds=scores.seconds,
            token_passes=num_tokens * num_passes(plan),
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            layers=scores.effects(self._layers, len(plan.layers)),
            text_digest=self._text_digest,
        )
