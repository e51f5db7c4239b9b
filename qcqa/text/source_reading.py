"""Calibration text as the source reads it: hidden states around one layer, and its predictions."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from transformers import PreTrainedModel

from qcqa.text.batches import TokenBatch
from qcqa.text.decoder import Decoder, frozen

#: One batch in so many is measured on; the others are fitted to.
MEASURED_EVERY = 4

#: Returns a batch's logits (B, T, V) from what the layer at hand is handed of it (B, T, d).
Predict = Callable[[TokenBatch, Tensor], Tensor]


class SourceReading:
    """What changes of one layer are measured with; several meters may share it.

    The loss of a token is the cross-entropy of the predictions with those of the source, in place
    of the one token that happens to come next: the same rise in expectation over texts that the
    source would write, with far less noise. Its rise over the source is the Kullback-Leibler
    divergence, never negative.

    Parameters
    ----------
    source : PreTrainedModel
        Float32.
    batches : sequence of TokenBatch
        Calibration text; a quarter of it is measured on, the rest is for refits.
    is_fitted_to : bool
        Whether there are refits: what nothing is fitted to is not read.
    """

    def __init__(
        self, source: PreTrainedModel, batches: Sequence[TokenBatch], *, is_fitted_to: bool
    ):
        self.source = source
        self.decoder = Decoder(source)
        self._batches = list(batches if is_fitted_to else batches[::MEASURED_EVERY])
        num_batches = len(self._batches)
        self._measured = list(range(0, num_batches, MEASURED_EVERY if is_fitted_to else 1))
        self._fitted = [i for i in range(num_batches) if i not in self._measured] or self._measured
        self._layer = -1
        self._inputs: list[Tensor] = []
        self._outputs: list[Tensor] = []
        self._log_p: list[Tensor] = []

    @contextmanager
    def at(self, layer: int) -> Iterator[None]:
        """Have what goes into a layer and comes out of it at hand, and the source frozen."""
        with frozen(self.source):
            self._go_to(layer)
            yield

    def fitted(self) -> tuple[list[Tensor], list[Tensor], list[TokenBatch]]:
        """Return what goes into the layer at hand and comes out, of the batches to fit to."""
        inputs, outputs = (
            [some[place] for place in self._fitted] for some in (self._inputs, self._outputs)
        )
        return inputs, outputs, [self._batches[place] for place in self._fitted]

    @torch.no_grad()
    def divergence(self, predict: Predict) -> float:
        """Return the mean divergence of predictions from the source's, in nats per token."""
        total, count = 0.0, 0
        for place, wanted in zip(self._measured, self._log_p, strict=True):
            batch = self._batches[place]
            got = predict(batch, self._inputs[place])[batch.is_real].float().log_softmax(-1)
            total += float((wanted.exp() * (wanted - got)).sum())
            count += len(got)
        return total / count

    @torch.no_grad()
    def _go_to(self, layer: int) -> None:
        if not self._log_p:
            self._outputs = [self.decoder.embed(batch.token_ids) for batch in self._batches]
            self._log_p = [
                self.source(input_ids=batch.token_ids, use_cache=False)
                .logits[batch.is_real]
                .float()
                .log_softmax(-1)
                for batch in (self._batches[place] for place in self._measured)
            ]
        if layer < self._layer:
            self._layer = -1
            self._outputs = [self.decoder.embed(batch.token_ids) for batch in self._batches]
        while self._layer < layer:
            self._layer += 1
            self._inputs = self._outputs
            self._outputs = [self.decoder.step(self._layer, hidden) for hidden in self._inputs]
