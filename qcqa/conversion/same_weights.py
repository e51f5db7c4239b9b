"""Whether a live model has the weights that a plan was made for, in whatever type it was opened."""

from collections.abc import Iterator
from pathlib import Path

import torch

from qcqa.conversion.layout import Layout, Read
from qcqa.errors import PlanError, QCQAError
from qcqa.model.checkpoint import Checkpoint
from qcqa.model.fingerprint import equal_when_rounded, fingerprint
from qcqa.model.heads import LayerHeads
from qcqa.model.opening import open_checkpoint
from qcqa.plan.plan import Plan


def require_same_weights(plan: Plan, layout: Layout, read: Read, *, opened: str) -> None:
    """Raise unless a live model's weights are those of the plan's model, rounded or not.

    A fingerprint is of weights that are rounded to bfloat16: float32 and bfloat16 copies have one.
    What was rounded to float16 does not show it any more, so such a copy is compared with the
    checkpoint itself, where that is at hand and has the plan's fingerprint.

    Parameters
    ----------
    plan : Plan
        Made for a model of this geometry.
    layout : Layout
        Of the live model.
    read : callable
        Reads its tensors.
    opened : str
        Folder or Hub id from which it was opened; may be empty.

    Raises
    ------
    PlanError
        If its weights are others, or cannot be compared.
    """
    spec = layout.spec
    found = fingerprint(_first_rows(layout, read))
    if found == plan.fingerprint:
        return
    checkpoint = _checkpoint_of(plan, opened)
    if checkpoint is None:
        if spec.dtype == plan.model.dtype or "float16" not in (spec.dtype, plan.model.dtype):
            plan.require_model(spec, found)
        raise PlanError(
            f"{spec.source} in {spec.dtype} cannot be compared with {plan.model.source} in "
            f"{plan.model.dtype}, which is not at hand",
            expected="the weights that the plan was made for",
            remedy=f"open the model in {plan.model.dtype}, convert it, then change its type",
        )
    if not equal_when_rounded(checkpoint.first_rows(), _first_rows(layout, read)):
        plan.require_model(spec, found)


def _checkpoint_of(plan: Plan, opened: str) -> Checkpoint | None:
    """Return the checkpoint of the plan's fingerprint, if it is where it was or was just opened."""
    there = plan.model.source
    for source in dict.fromkeys((opened, there)):
        # What is on the Hub is in the cache if the model was opened from there, else it may not be.
        if not source or (source != opened and source != "demo" and not Path(source).is_dir()):
            continue
        try:
            checkpoint = open_checkpoint(
                source, revision=plan.model.revision if source == there else None
            )
            if checkpoint.fingerprint() == plan.fingerprint:
                return checkpoint
        except QCQAError:
            continue
    return None


def _first_rows(layout: Layout, read: Read) -> Iterator[LayerHeads]:
    """Yield the first row of every head as a checkpoint has it, layer by layer."""
    for layer in range(layout.spec.num_layers):
        heads = layout.heads(layer, read, needs=())
        key, value = (
            part[:, :1].detach().to("cpu", torch.float32).numpy()
            for part in (heads.key, heads.value)
        )
        yield LayerHeads(key=key, value=value)
