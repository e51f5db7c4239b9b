"""Refit of the output projection alone: ridge least squares, in closed form.

Given what a merged attention hands to its output projection, the weights are moved as little as
need be to make the attention's output that of the source.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from qcqa.text.batches import TokenBatch
from qcqa.text.decoder import Decoder

#: Weight of staying where the weights are, over the mean square of the projection's input.
_RIDGE = 1e-2


@dataclass(frozen=True, slots=True)
class Seen:
    """What went into a projection and what came out of it, a tensor per call."""

    inputs: list[Tensor]
    outputs: list[Tensor]


@contextmanager
def watched(projection: nn.Module) -> Iterator[Seen]:
    """Watch a projection for a while."""
    seen = Seen([], [])

    def note(_module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        seen.inputs.append(args[0])
        seen.outputs.append(output)

    handle = projection.register_forward_hook(note)
    try:
        yield seen
    finally:
        handle.remove()


@torch.no_grad()
def fit_output_projection(
    teacher: Decoder,
    student: Decoder,
    layer: int,
    inputs: Sequence[Tensor],
    wanted: Sequence[Tensor],
    batches: Sequence[TokenBatch],
) -> None:
    """Fit a layer's output projection so that its attention's output is the wanted one.

    Parameters
    ----------
    teacher, student : Decoder
        The source, which knows how layers are called, and the merged model.
    layer : int
        Number of the layer.
    inputs : sequence of Tensor, shape (B, T, d)
        What the layer is handed, a tensor per batch.
    wanted : sequence of Tensor, shape (B, T, d)
        Outputs of the source's output projection.
    batches : sequence of TokenBatch
        Say which tokens are real.
    """
    projection = student.output_projection(layer)
    squares, crosses = [], []
    for hidden, target, batch in zip(inputs, wanted, batches, strict=True):
        with watched(projection) as seen:
            teacher.step(layer, hidden, by=student)
        read = seen.inputs[0].reshape(*batch.is_real.shape, -1)[batch.is_real].double()  # (N, n)
        made = seen.outputs[0].reshape(target.shape)[batch.is_real].double()
        wrong = target[batch.is_real].double() - made  # (N, d)
        squares.append(read.T @ read)
        crosses.append(read.T @ wrong)
    square, cross = torch.stack(squares).sum(dim=0), torch.stack(crosses).sum(dim=0)
    ridge = _RIDGE * float(square.diagonal().mean())
    identity = torch.eye(len(square), dtype=square.dtype, device=square.device)
    change = torch.linalg.solve(square + ridge * identity, cross)  # (n, d)
    weight = projection.get_parameter("weight")
    # GPT-2 keeps its projections as (in, out).
    is_linear = isinstance(projection, nn.Linear)
    weight.add_((change.T if is_linear else change).to(weight.dtype))
