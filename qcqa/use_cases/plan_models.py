"""A source model, and the models that plans make of it, as they are measured."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypedDict

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from qcqa.attention import converted_copy
from qcqa.calibrate.merged import merged_model, set_attention
from qcqa.checkpoint import Checkpoint, open_checkpoint
from qcqa.errors import EvaluationError
from qcqa.fitted import FittedFolder
from qcqa.methods import METHODS
from qcqa.plan import GroupingPlan
from qcqa.use_cases.calibrate import OnLayer, calibration_of_plan, load_float32, location_of
from qcqa.use_cases.device import require_usable
from qcqa.use_cases.fitted_attention import fitted_attention


def plan_label(plan: GroupingPlan) -> str:
    """Return what progress calls a plan's model."""
    # A plan's file may come from a method that is not of this release.
    method = METHODS[plan.method].label if plan.method in METHODS else plan.method
    return f"{method} at {100 * plan.kv_ratio:.3g} %"


def tokenizer_of(location: str, *, revision: str = "main") -> PreTrainedTokenizerBase:
    """Return the tokenizer of a model in a folder or on the Hub.

    Raises
    ------
    EvaluationError
        If there is none that can be loaded.
    """
    try:
        return AutoTokenizer.from_pretrained(location, revision=revision)
    # Whatever its class makes of files that are missing or are another model's.
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise EvaluationError(
            f"{location} has no tokenizer that can be loaded ({error})",
            expected="the tokenizer's files beside the weights",
        ) from error


@contextmanager
def models_of(
    model: str,
    plans: Sequence[GroupingPlan],
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
    plans : sequence of GroupingPlan
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
    require_usable(device, dtype)
    checkpoint = open_checkpoint(model, revision=revision)
    for plan in plans:
        plan.require_model(checkpoint.spec, plan.fingerprint)
    with TemporaryDirectory() as temporary:
        yield PlanModels(
            checkpoint,
            device=device,
            dtype=dtype,
            calibrations=calibrations or Path(temporary),
            fitted=fitted,
        )


class Where(TypedDict):
    """Where, and in which type, models run."""

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

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the source's weights."""
        return self.checkpoint.fingerprint()

    @cached_property
    def source(self) -> PreTrainedModel:
        """The source, where and as it is to run."""
        model = AutoModelForCausalLM.from_pretrained(
            location_of(self.checkpoint),
            revision=self._revision,
            dtype=self.where["dtype"],
            use_safetensors=True,
        )
        torch.nn.Module.to(model, self.where["device"])  # its own is hidden from type checkers
        return model

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The source's tokenizer.

        Raises
        ------
        EvaluationError
            If it has none that can be loaded.
        """
        return tokenizer_of(location_of(self.checkpoint), revision=self._revision)

    def model_of(self, plan: GroupingPlan, on_layer: OnLayer | None = None) -> PreTrainedModel:
        """Return what a plan makes of the source; all but its attention is the source's own.

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
            )
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

    @property
    def _revision(self) -> str:
        return self.checkpoint.spec.revision or "main"


def _by_mean(plan: GroupingPlan) -> GroupingPlan:
    return replace(plan, merge="mean", refit=False, calibration=None)
