"""Merged attention that rests on a calibration: made once for a plan, and kept."""

from collections.abc import Callable

import torch
from torch import Tensor
from transformers import PreTrainedModel

from qcqa.plan.plan import Plan
from qcqa.text.fitted import FittedFolder
from qcqa.text.merged import attention_tensors


def fitted_attention(
    plan: Plan, kept: FittedFolder | None, make: Callable[[], PreTrainedModel]
) -> list[dict[str, Tensor]]:
    """Return the attention that a plan makes, as it is kept or else made now.

    Parameters
    ----------
    plan : Plan
        With a calibration.
    kept : FittedFolder or None
        Where it is looked for, and kept.
    make : callable
        Returns the plan's model, float32; this may take minutes.

    Returns
    -------
    list of dict of str to Tensor
        As :func:`~qcqa.text.merged.attention_tensors`.
    """
    found = kept.load(plan) if kept else None
    if found is not None:
        return [{name: torch.from_numpy(array) for name, array in layer.items()} for layer in found]
    made = attention_tensors(make())
    if kept:
        kept.save(
            plan, [{name: tensor.cpu().numpy() for name, tensor in layer.items()} for layer in made]
        )
    return made
