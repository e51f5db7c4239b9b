"""A source model, and the models that plans make of it, as they are measured."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Self, TypedDict

import torch
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from qcqa.conversion.live import converted_copy
from qcqa.conversion.ready import refuse_unmappable, refuse_unpackable
from qcqa.files.writing import temporary_folder
from qcqa.model.checkpoint import Checkpoint
from qcqa.model.device import usable_device
from qcqa.model.dtype import dtype_to_run, kept_dtype
from qcqa.model.opening import open_checkpoint
from qcqa.model.source_model import load_config, load_float32, load_model, load_tokenizer
from qcqa.plan.plan import Plan
from qcqa.progress import OnProgress, silent, steps_of
from qcqa.search.methods import METHODS
from qcqa.text.calibrate import calibration_of_plan, require_text_of_plan
from qcqa.text.fitted import FittedFolder, needs_text
from qcqa.text.fitted_attention import fitted_attention
from qcqa.text.merged import merged_model, set_attention

#: What progress calls the model that all others are made of.
SOURCE = "source"

#: A guess: of making a model that takes a calibration, where its text has to be read.
_READ_SHARE = 0.3


def plan_label(plan: Plan) -> str:
    """Return what progress calls a plan's model."""
    # A plan's file may come from a method that is not of this release.
    method = METHODS[plan.method].label if plan.method in METHODS else plan.method
    if plan.method == "mha":
        method = SOURCE
    return f"{method} at {100 * plan.kv_ratio:.3g} %"


@contextmanager
def models_of(
    model: str,
    plans: Sequence[Plan],
    *,
    revision: str | None,
    device: str,
    dtype: str,
    calibrations: Path | None,
    fitted: FittedFolder | None,
) -> Iterator["PlanModels"]:
    """Open a source for some of its plans; no weights are read yet.

    Parameters
    ----------
    model : str
        Local folder, Hub id, or ``demo``.
    plans : sequence of Plan
        Made for this model.
    revision : str or None
        Branch, tag or commit on the Hub.
    device, dtype, fitted
        As in :class:`PlanModels`.
    calibrations : Path or None
        Folder of the calibration that plans rest on; a temporary one by default.

    Raises
    ------
    EvaluationError
        If torch has no such device or type.
    QCQAError
        If the model cannot be opened, or a plan is for another one.
    """
    device = usable_device(device, dtype)
    checkpoint = open_checkpoint(model, revision=revision)
    checkpoint.require_language_model()
    for plan in plans:
        plan.require_model(checkpoint.spec, plan.fingerprint)
        if plan.has_codecs:
            refuse_unpackable(load_config(checkpoint), plan.layers, model)
        refuse_unmappable(checkpoint.architecture, checkpoint.config, checkpoint.spec, plan.layers)
    checkpoint_dtype = checkpoint.spec.dtype
    dtype = kept_dtype(dtype_to_run(dtype, checkpoint_dtype, device=device).name, checkpoint_dtype)
    with temporary_folder() as temporary:
        yield PlanModels(
            checkpoint,
            device=device,
            dtype=dtype,
            calibrations=calibrations or temporary,
            fitted=fitted,
        )


class Where(TypedDict):
    """Where, and in which type, models run; ``auto`` is the checkpoint's own type."""

    device: str
    dtype: str


class PlanModels:
    """Reads a source when it is first needed, and converts copies of it.

    Parameters
    ----------
    checkpoint : Checkpoint
        The source.
    device, dtype : str
        Where, and in which type, the models run.
    calibrations : Path
        Folder of the calibration that plans rest on.
    fitted : FittedFolder, optional
        Where the attention is kept that took a calibration to make.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        device: str,
        dtype: str,
        calibrations: Path,
        fitted: FittedFolder | None = None,
    ):
        self.checkpoint = checkpoint
        self._fitted = fitted
        self.where: Where = {"device": device, "dtype": dtype}
        self._calibrations = calibrations

    @classmethod
    def to_look_at(cls, model: str, *, revision: str | None, fitted: FittedFolder | None) -> Self:
        """Open a source as :func:`models_of` does; nothing is to run, and nothing to be kept."""
        checkpoint = open_checkpoint(model, revision=revision)
        checkpoint.require_language_model()
        return cls(checkpoint, device="cpu", dtype="auto", calibrations=Path(), fitted=fitted)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the source's weights."""
        return self.checkpoint.fingerprint()

    @cached_property
    def source(self) -> PreTrainedModel:
        """The source, where and as it is to run."""
        return load_model(self.checkpoint, **self.where)

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The source's tokenizer.

        Raises
        ------
        EvaluationError
            If it has none that can be loaded.
        """
        return load_tokenizer(self.checkpoint)

    @cached_property
    def config(self) -> PreTrainedConfig:
        """The source's config."""
        return load_config(self.checkpoint)

    def require_texts(self, plans: Iterable[Plan]) -> None:
        """Refuse plans whose calibration text is needed and is gone, or another by now.

        Raises
        ------
        CalibrationError
            If one is.
        """
        spec = self.checkpoint.spec
        for plan in plans:
            if needs_text(plan, self._fitted):
                require_text_of_plan(plan, spec.source, revision=spec.revision)

    def model_of(self, plan: Plan, on_progress: OnProgress = silent) -> PreTrainedModel:
        """Return what a plan makes of the source; all but its attention is the source's own.

        ``on_progress`` is called after each layer that is calibrated or refitted.

        Raises
        ------
        QCQAError
            If the plan is for another model, or its calibration text is missing.
        """
        if plan.calibration is None:
            return converted_copy(self.source, plan)

        def make() -> PreTrainedModel:
            calibration = calibration_of_plan(
                plan,
                self.checkpoint.spec.source,
                self._calibrations,
                revision=self.checkpoint.spec.revision,
                source=self._float32,
                on_layer=steps_of(on_progress, "reading the calibration text", 0.0, _READ_SHARE),
            )
            on_layer = steps_of(on_progress, "converting", _READ_SHARE, 1.0)
            return merged_model(self._float32, plan, calibration, on_layer=on_layer)

        # Only the shapes matter here: the weights are replaced at once.
        model = converted_copy(self.source, _by_mean(plan))
        set_attention(model, fitted_attention(plan, self._fitted, make))
        return model

    @cached_property
    def _float32(self) -> PreTrainedModel:
        if self.source.dtype == torch.float32:
            return self.source
        return load_float32(self.checkpoint, self.where["device"])


def _by_mean(plan: Plan) -> Plan:
    return replace(plan, merge="mean", refit=False, calibration=None)
