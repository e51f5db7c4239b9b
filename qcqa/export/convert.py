"""Convert a checkpoint by a plan, with all that the plan rests on folded into its weights."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from torch import Tensor
from transformers import PreTrainedModel

from qcqa.conversion.companions import Companions
from qcqa.conversion.converted import Converted
from qcqa.conversion.folder import convert_checkpoint
from qcqa.conversion.loading import load
from qcqa.export.preflight import free_memory_bytes, is_made_by, opening_bytes
from qcqa.files.writing import temporary_folder
from qcqa.measure.promised_cache import promised_cache
from qcqa.model.opening import open_checkpoint
from qcqa.model.safetensors_file import SafetensorsFile
from qcqa.model.source_model import load_float32
from qcqa.plan.plan import Plan
from qcqa.progress import OnLayer, OnProgress, Progress, silent, within
from qcqa.text.calibrate import calibration_of_plan
from qcqa.text.calibration_folder import CalibrationFolder
from qcqa.text.fitted import FittedFolder
from qcqa.text.fitted_attention import fitted_attention
from qcqa.text.merged import merged_model

#: Guesses: of the whole time, what has passed when the text is read, and when layers are refitted.
_READ, _REFITTED = 0.3, 0.9

#: Of a conversion that measures in the end, what has passed when the folder is written.
_WRITTEN = 0.95


def convert_by_plan(
    model: str,
    plan: Plan,
    folder: Path,
    *,
    calibration: str | None = None,
    calibrations: Path | None = None,
    fitted: FittedFolder | None = None,
    revision: str | None = None,
    on_progress: OnProgress | None = None,
    with_source_code: bool = False,
) -> Companions:
    """Write the checkpoint that a plan makes of a model.

    A plan that rests on the weights alone is carried out tensor by tensor. One with a calibration
    reads its text again, unless that lies ready; one that refits needs the whole model in memory,
    in float32, and its attention once more.

    Parameters
    ----------
    model : str
        Local folder, Hub id, or ``demo``.
    plan : Plan
        Made for this model.
    folder : Path
        New or empty.
    calibration : str, optional
        Where the plan's calibration text is now, if it has moved.
    calibrations : Path, optional
        Where the calibration is looked for, and kept.
    fitted : FittedFolder, optional
        Where refitted attention is looked for, and kept.
    revision : str, optional
        Branch, tag or commit on the Hub; that of the plan by default.
    on_progress : callable, optional
        Called often; raising from it ends the conversion, and nothing is left.
    with_source_code : bool
        Whether code of the source's own comes along, see
        :func:`~qcqa.conversion.convert_checkpoint`.

    Returns
    -------
    Companions
        What came along from the source beside its weights, and what did not.

    Raises
    ------
    QCQAError
        If the model, the plan, its calibration or the folder cannot be used.
    """
    report = on_progress or silent
    if revision is None and model == plan.model.source:
        revision = plan.model.revision
    # What was refitted before needs no calibration: all that rests on it is replaced.
    is_fitted = plan.refit and fitted is not None and fitted.holds(plan)
    rests_on_text = plan.calibration is not None and not is_fitted
    share = 0.0 if not rests_on_text else _REFITTED if plan.refit else _READ
    with temporary_folder() as temporary:
        rest = _Calibrated(
            model, plan, calibrations or temporary, calibration, fitted, revision, report
        )

        def on_bytes(written: int, total: int) -> None:
            fraction = rest.done + (1 - share) * written / max(1, total)
            report(Progress("writing weights, MiB", written >> 20, total >> 20, fraction))

        return convert_checkpoint(
            model,
            plan,
            folder,
            revision=revision,
            moments=rest.moment if rests_on_text else None,
            fitted=rest.fitted if plan.refit else None,
            on_bytes=on_bytes,
            with_source_code=with_source_code,
        )


def convert_and_measure(
    model: str,
    plan: Plan,
    folder: Path,
    *,
    calibrations: Path | None = None,
    fitted: FittedFolder | None = None,
    revision: str | None = None,
    on_progress: OnProgress | None = None,
) -> Converted:
    """Write the checkpoint that a plan makes of a model, open it, and measure its live KV cache.

    A folder that holds this very model already, from an earlier call that was stopped in the
    end, is only measured.

    Parameters
    ----------
    model, plan, folder, calibrations, fitted, revision, on_progress
        As in :func:`convert_by_plan`.

    Raises
    ------
    EvaluationError
        If the live cache is not of the promised size.
    QCQAError
        As :func:`convert_by_plan`.
    """
    report = on_progress or silent

    if not is_made_by(plan, folder):
        convert_by_plan(
            model,
            plan,
            folder,
            calibrations=calibrations,
            fitted=fitted,
            revision=revision,
            on_progress=within(report, 0.0, _WRITTEN),
        )
    report(Progress("measuring the KV cache", 0, 1, _WRITTEN))
    weight_bytes = sum(
        tensor.num_bytes
        for path in folder.glob("*.safetensors")
        for tensor in SafetensorsFile(path).tensors.values()
    )
    free = free_memory_bytes()
    can_be_opened = free is None or opening_bytes(weight_bytes) <= free
    source = open_checkpoint(model, revision=revision)
    return Converted(
        folder=str(folder),
        source_bytes=sum(
            tensor.num_bytes for _, tensors in source.headers() for tensor in tensors.values()
        ),
        weight_bytes=weight_bytes,
        promised_bytes_per_token=plan.kv_bytes_per_token,
        measured_bytes_per_token=(
            promised_cache(load(folder), plan, str(folder)) if can_be_opened else None
        ),
    )


@dataclass(eq=False)
class _Calibrated:
    """What a plan rests on beside the weights: made when the first layer asks for it."""

    model: str
    plan: Plan
    folder: Path
    text: str | None
    kept: FittedFolder | None
    revision: str | None
    report: OnProgress
    #: How much of the whole work is done, from 0 to 1.
    done: float = 0.0

    def moment(self, layer: int) -> Tensor:
        """Return the second moment of a layer's inputs."""
        return self._calibration.moment(layer)

    def fitted(self, layer: int) -> dict[str, Tensor]:
        """Return a layer's refitted tensors by name, without the model's prefix."""
        return self._attention[layer]

    @cached_property
    def _source(self) -> PreTrainedModel:
        return load_float32(open_checkpoint(self.model, revision=self.revision))

    @cached_property
    def _calibration(self) -> CalibrationFolder:
        return calibration_of_plan(
            self.plan,
            self.model,
            self.folder,
            text=self.text,
            revision=self.revision,
            source=self._source if self.plan.refit else None,
            on_layer=self._part("reading the calibration text", 0.0, _READ),
        )

    @cached_property
    def _attention(self) -> list[dict[str, Tensor]]:
        def make() -> PreTrainedModel:
            on_layer = self._part("refitting layers", _READ, _REFITTED)
            return merged_model(self._source, self.plan, self._calibration, on_layer=on_layer)

        return fitted_attention(self.plan, self.kept, make)

    def _part(self, stage: str, start: float, end: float) -> OnLayer:
        def on_layer(layer: int, total: int) -> None:
            self.done = start + (end - start) * layer / total
            self.report(Progress(stage, layer, total, self.done))

        return on_layer
