"""Calibration text as the source reads it: hidden states around one layer, and its predictions."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

import torch
from torch import Tensor
from transformers import PreTrainedModel

from qcqa.text.amounts import DRAWS, MEASURED_EVERY, MOST_STATES_BYTES
from qcqa.text.batches import TokenBatch
from qcqa.text.decoder import Decoder, frozen
from qcqa.text.fisher import label_gradients
from qcqa.text.windows import evenly

#: Predictions that are compared at a time, so that they stay in a processor's cache.
_ROWS = 32

#: Returns a batch's logits (B, T, V) from what the layer at hand is handed of it (B, T, d).
Predict = Callable[[TokenBatch, Tensor], Tensor]
#: Returns what a changed attention of the layer at hand makes of the same: its output (B, T, d).
Attend = Callable[[TokenBatch, Tensor], Tensor]


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
    most_exact : int, optional
        Batches that are read to measure a divergence, at most; by default a quarter of all.
    """

    def __init__(
        self,
        source: PreTrainedModel,
        batches: Sequence[TokenBatch],
        *,
        is_fitted_to: bool,
        most_exact: int | None = None,
    ):
        self.source = source
        self.decoder = Decoder(source)
        self._batches = list(batches if is_fitted_to else batches[::MEASURED_EVERY])
        num_batches = len(self._batches)
        self._measured = list(range(0, num_batches, MEASURED_EVERY if is_fitted_to else 1))
        self._fitted = [i for i in range(num_batches) if i not in self._measured] or self._measured
        self._exact = evenly(self._measured, most_exact)
        self._layer = -1
        self._states: dict[int, list[Tensor]] = {}
        self._inputs: list[Tensor] = []
        self._attended: list[Tensor] = []
        self._targets: list[Tensor] = []

    @contextmanager
    def at(self, layer: int) -> Iterator[None]:
        """Have what goes into a layer and comes out of it at hand, and the source frozen."""
        with frozen(self.source):
            self._go_to(layer)
            yield

    def fitted(self) -> tuple[list[Tensor], list[Tensor], list[TokenBatch]]:
        """Return what the attention of the layer at hand makes of what the layer is handed.

        Returns
        -------
        list of Tensor, list of Tensor, list of TokenBatch
            Inputs of the layer and outputs of its attention, of the batches to fit to.
        """
        if not self._targets:
            self._targets = self._attend(self._fitted)
        inputs = [self._inputs[place] for place in self._fitted]
        return inputs, self._targets, [self._batches[place] for place in self._fitted]

    @torch.no_grad()
    def divergence(self, predict: Predict) -> float:
        """Return the mean divergence of predictions from the source's, in nats per token."""
        total, count = 0.0, 0
        for place, wanted in zip(self._exact, self._log_p, strict=True):
            batch = self._batches[place]
            got = predict(batch, self._inputs[place])[batch.is_real]
            pairs = zip(torch.split(wanted, _ROWS), torch.split(got, _ROWS), strict=True)
            total += sum(_divergence(one, other) for one, other in pairs)
            count += len(got)
        return total / count

    def rise(self, predict: Predict, attend: Attend) -> float:
        """Return the mean divergence, nats per token, on all that is measured on.

        Where not all of it is read, it is told from the ratio of what is foretold of both.
        """
        found = self.divergence(predict)
        if len(self._exact) == len(self._measured):
            return found
        of_all, of_exact = self._foretold(attend)
        return found * of_all / of_exact if of_exact > 0 else found

    def foretold(self, attend: Attend) -> float:
        """Return the mean divergence, nats per token, that a changed attention leads to.

        To second order, see :mod:`qcqa.text.fisher`: behind the layer at hand nothing is computed.
        """
        return self._foretold(attend)[0]

    @torch.no_grad()
    def _foretold(self, attend: Attend) -> tuple[float, float]:
        """Return what is foretold of all that is measured on, and of what is read to measure."""
        if not self._attended:
            self._attended = self._attend(self._measured)
        sums = {}
        for place, own, gradient in zip(
            self._measured, self._attended, self._gradients[self._layer], strict=True
        ):
            batch = self._batches[place]
            change = (attend(batch, self._inputs[place]) - own)[batch.is_real]  # (N, d)
            along = (gradient.to(change.device) * change).sum(dim=-1)  # (draws, N)
            sums[place] = (float(along.square().mean(dim=0).sum()) / 2, len(change))
        return _mean(sums.values()), _mean(sums[place] for place in self._exact)

    @torch.no_grad()
    def _attend(self, places: Iterable[int]) -> list[Tensor]:
        """Return outputs of the source's attention in the layer at hand, for some batches."""
        return [self.decoder.attend(self._layer, self._inputs[place]).output for place in places]

    @cached_property
    def _log_p(self) -> list[Tensor]:
        """What the source predicts where divergences are measured: (N, V) of each batch."""
        with torch.no_grad():
            return [
                self.source(input_ids=batch.token_ids, use_cache=False)
                .logits[batch.is_real]
                .float()
                .log_softmax(-1)
                for batch in (self._batches[place] for place in self._exact)
            ]

    @cached_property
    def _gradients(self) -> list[list[Tensor]]:
        batches = [self._batches[place] for place in self._measured]
        return label_gradients(self.decoder, batches, draws=DRAWS)

    @torch.no_grad()
    def _go_to(self, layer: int) -> None:
        if layer == self._layer:
            return
        self._attended, self._targets = [], []
        reached = max((known for known in self._states if known <= layer), default=None)
        if reached is None:
            reached = 0
            self._states = {0: [self.decoder.embed(batch.token_ids) for batch in self._batches]}
        for before in range(reached, layer):
            inputs = self._states[before]
            self._states[before + 1] = [self.decoder.step(before, hidden) for hidden in inputs]
            if not self._keeps_all(inputs):
                del self._states[before]
        self._layer, self._inputs = layer, self._states[layer]

    def _keeps_all(self, inputs: Sequence[Tensor]) -> bool:
        size = sum(hidden.nbytes for hidden in inputs)
        return self.decoder.num_layers * size <= MOST_STATES_BYTES


def _divergence(log_p: Tensor, logits: Tensor) -> float:
    """Return the summed divergence of predictions (N, V) from others, in nats."""
    log_q = logits.float().log_softmax(-1)
    return float(((log_p - log_q) * log_p.exp()).sum())


def _mean(sums: Iterable[tuple[float, int]]) -> float:
    totals, counts = zip(*sums, strict=True)
    return float(sum(totals) / sum(counts))
