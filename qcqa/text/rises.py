"""What it costs the model's predictions when one layer's heads share: measured, or foretold."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.registry import site_to_json
from qcqa.text.batches import TokenBatch
from qcqa.text.decoder import Decoder, frozen
from qcqa.text.known_rises import Change, KnownRises
from qcqa.text.refit import RefitSettings, fit_attention
from qcqa.text.source_reading import Attend, SourceReading

#: Makes the model in which one layer alone is grouped; nothing but attentions may be copied.
MergeLayer = Callable[[int, LayerChoice], PreTrainedModel]


class RiseMeter:
    """Measures rises of the calibration loss, one layer at a time, and foretells them.

    Parameters
    ----------
    reading : SourceReading
        Of the source and the calibration text; fitted to where there is a refit.
    merge_layer : callable
        Converts one layer.
    refit_settings : RefitSettings or None
        How the merged layer is fitted before it is measured; None to measure it as merged.
    known, foreknown : KnownRises, optional
        Rises that were measured, or foretold, before, and where new ones are kept.
    """

    def __init__(
        self,
        reading: SourceReading,
        merge_layer: MergeLayer,
        refit_settings: RefitSettings | None,
        known: KnownRises | None = None,
        foreknown: KnownRises | None = None,
    ):
        self._reading = reading
        self._merge_layer = merge_layer
        self._refit = refit_settings
        self._known = known or KnownRises()
        self._foreknown = foreknown or KnownRises()

    def __call__(self, layer: int, choices: Sequence[LayerChoice]) -> NDArray[np.float64]:
        """Return the rise, nats per token, for some choices of a layer: shape (C,)."""
        return self._known.of(
            layer, _changes(choices), lambda place: self._rise(layer, choices[place])
        )

    def foretold(self, layer: int, choices: Sequence[LayerChoice]) -> NDArray[np.float64]:
        """Return the same to second order, far quicker; see :mod:`qcqa.text.fisher`.

        Nothing is refitted: how much that mends differs between slots more than within one.
        """
        return self._foreknown.of(
            layer, _changes(choices), lambda place: self._foretold(layer, choices[place])
        )

    def _rise(self, layer: int, choice: LayerChoice) -> float:
        if choice == LayerChoice():
            return 0.0
        teacher = self._reading.decoder
        with self._merged(layer, choice) as student:
            if self._refit:
                fit_attention(teacher, student, layer, *self._reading.fitted(), self._refit)

            def predict(_batch: TokenBatch, hidden: Tensor) -> Tensor:
                return teacher.logits_after(layer, teacher.step(layer, hidden, by=student))

            return self._reading.rise(predict, self._attend(layer, student))

    def _foretold(self, layer: int, choice: LayerChoice) -> float:
        if choice == LayerChoice():
            return 0.0
        with self._merged(layer, choice) as student:
            return self._reading.foretold(self._attend(layer, student))

    def _attend(self, layer: int, student: Decoder) -> Attend:
        teacher = self._reading.decoder
        return lambda _batch, hidden: teacher.attend(layer, hidden, by=student).output

    @contextmanager
    def _merged(self, layer: int, choice: LayerChoice) -> Iterator[Decoder]:
        """Have the source's layer at hand, and a model in which it is reduced."""
        merged = self._merge_layer(layer, choice)
        with self._reading.at(layer), frozen(merged):
            yield Decoder(merged)


def _changes(choices: Sequence[LayerChoice]) -> list[Change]:
    return [(site_to_json(choice.key), site_to_json(choice.value)) for choice in choices]
