"""Refit of the output projection alone: ridge least squares, in closed form.

Given what a merged attention hands to its output projection, the weights are moved as little as
need be to make the attention's output that of the source.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from qcqa.text.batches import TokenBatch
from qcqa.text.decoder import Decoder

#: Weight of staying where the weights are, over the mean square of the projection's input.
_RIDGE = 1e-2


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
        What the attention is to make of it.
    batches : sequence of TokenBatch
        Say which tokens are real.
    """
    projection = student.output_projection(layer)
    squares, crosses = [], []
    for hidden, target, batch in zip(inputs, wanted, batches, strict=True):
        made = teacher.attend(layer, hidden, by=student)
        read = made.read[batch.is_real].double()  # (N, n)
        wrong = (target - made.output)[batch.is_real].double()  # (N, d)
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
