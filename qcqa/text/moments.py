"""Second moments of the attention's input, layer by layer."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from qcqa.text.batches import TokenBatch
from qcqa.text.decoder import Decoder, frozen


@torch.no_grad()
def second_moments(
    model: PreTrainedModel, batches: Sequence[TokenBatch], *, with_bias: bool
) -> Iterator[Tensor]:
    """Yield ``C = E[x x']`` of what each layer's key projection reads, one layer after another.

    One pass over the text: hidden states of all of it are kept, and the moments of one layer.

    Parameters
    ----------
    model : PreTrainedModel
        The source.
    batches : sequence of TokenBatch
        Calibration text.
    with_bias : bool
        Whether to append the constant 1 to ``x``, for projections with a bias.

    Yields
    ------
    Tensor, shape (d, d) or (d + 1, d + 1), float64
        On the CPU.
    """
    decoder = Decoder(model)
    with frozen(model):
        hidden = [decoder.embed(batch.token_ids) for batch in batches]
        for layer in range(decoder.num_layers):
            moment = _Moment(with_bias)
            handle = decoder.reader(layer).register_forward_pre_hook(moment)
            try:
                for place, batch in enumerate(batches):
                    moment.is_real = batch.is_real
                    hidden[place] = decoder.step(layer, hidden[place])
            finally:
                handle.remove()
            yield moment.mean()


class _Moment:
    """Adds up outer products of what passes a module."""

    def __init__(self, with_bias: bool):
        self.is_real: Tensor | None = None
        self._with_bias = with_bias
        self._sum: Tensor | None = None
        self._count = 0

    def __call__(self, _module: nn.Module, args: tuple[Any, ...]) -> None:
        rows = args[0][self.is_real].to("cpu", torch.float64)  # (N, d)
        if self._with_bias:
            rows = torch.cat((rows, torch.ones(len(rows), 1, dtype=rows.dtype)), dim=1)
        product = rows.T @ rows
        self._sum = product if self._sum is None else self._sum + product
        self._count += len(rows)

    def mean(self) -> Tensor:
        if self._sum is None:
            raise RuntimeError("the layer was never called")
        return self._sum / self._count
