"""What it costs the model's predictions when one layer's heads share: measured, not guessed."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from qcqa.reduce.choice import LayerChoice
from qcqa.text.batches import TokenBatch
from qcqa.text.decoder import Decoder, frozen
from qcqa.text.known_rises import KnownRises
from qcqa.text.refit import RefitSettings, fit_layer

#: Makes the model in which one layer alone is reduced; nothing but attentions may be copied.
MergeLayer = Callable[[int, LayerChoice], PreTrainedModel]

#: One batch in so many is measured on; the others are fitted to.
_MEASURED_EVERY = 4


class RiseMeter:
    """Measures rises of the calibration loss, one layer at a time.

    The loss of a token is the cross-entropy of the predictions with those of the source, in place
    of the one token that happens to come next: the same rise in expectation over texts that the
    source would write, with far less noise. Its rise over the source is the Kullback-Leibler
    divergence, never negative.

    Parameters
    ----------
    source : PreTrainedModel
        Float32.
    batches : sequence of TokenBatch
        Calibration text; a quarter of it is measured on, the rest is for the refit.
    merge_layer : callable
        Converts one layer.
    refit_settings : RefitSettings or None
        How the merged layer is fitted before it is measured; None to measure it as merged.
    known : KnownRises, optional
        Rises that were measured before, and where new ones are kept.
    """

    def __init__(
        self,
        source: PreTrainedModel,
        batches: Sequence[TokenBatch],
        merge_layer: MergeLayer,
        refit_settings: RefitSettings | None,
        known: KnownRises | None = None,
    ):
        self._teacher = Decoder(source)
        self._source = source
        self._merge_layer = merge_layer
        self._refit = refit_settings
        # What nothing is fitted to need not be read.
        self._batches = list(batches if refit_settings else batches[::_MEASURED_EVERY])
        num_batches = len(self._batches)
        self._measured = list(range(0, num_batches, _MEASURED_EVERY if refit_settings else 1))
        self._fitted = [i for i in range(num_batches) if i not in self._measured] or self._measured
        self._layer = -1
        self._inputs: list[Tensor] = []
        self._outputs: list[Tensor] = []
        self._log_p: list[Tensor] = []
        self._known = known or KnownRises()

    def __call__(self, layer: int, choices: Sequence[LayerChoice]) -> NDArray[np.float64]:
        """Return the rise, nats per token, for some choices of a layer: shape (C,)."""
        missing = [one for one in choices if self._known.get(layer, one) is None]
        if missing:
            with frozen(self._source):
                self._go_to(layer)
                for choice in missing:
                    self._known.add(layer, choice, self._rise(layer, choice))
        return np.array([self._known.get(layer, one) for one in choices], dtype=np.float64)

    def _rise(self, layer: int, choice: LayerChoice) -> float:
        if choice == LayerChoice():
            return 0.0
        merged = self._merge_layer(layer, choice)
        student = Decoder(merged)
        with frozen(merged):
            if self._refit:
                inputs, outputs = (
                    [some[place] for place in self._fitted]
                    for some in (self._inputs, self._outputs)
                )
                batches = [self._batches[place] for place in self._fitted]
                fit_layer(self._teacher, student, layer, inputs, outputs, batches, self._refit)
            return self._divergence(layer, student)

    @torch.no_grad()
    def _divergence(self, layer: int, student: Decoder) -> float:
        """Return the mean divergence of the predictions from the source's, in nats."""
        total, count = 0.0, 0
        for place, wanted in zip(self._measured, self._log_p, strict=True):
            real = self._batches[place].is_real
            hidden = self._teacher.step(layer, self._inputs[place], by=student)
            got = self._teacher.logits_after(layer, hidden)[real].float().log_softmax(-1)
            total += float((wanted.exp() * (wanted - got)).sum())
            count += len(got)
        return total / count

    @torch.no_grad()
    def _go_to(self, layer: int) -> None:
        """Have the hidden states before and behind a layer at hand."""
        if not self._log_p:
            self._outputs = [self._teacher.embed(batch.token_ids) for batch in self._batches]
            self._log_p = [
                self._source(input_ids=batch.token_ids, use_cache=False)
                .logits[batch.is_real]
                .float()
                .log_softmax(-1)
                for batch in (self._batches[place] for place in self._measured)
            ]
        if layer < self._layer:
            self._layer = -1
            self._outputs = [self._teacher.embed(batch.token_ids) for batch in self._batches]
        while self._layer < layer:
            self._layer += 1
            self._inputs = self._outputs
            self._outputs = [self._teacher.step(self._layer, one) for one in self._inputs]
