"""What it costs the model's predictions when one layer's heads share: measured, not guessed."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel

from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.registry import site_to_json
from qcqa.text.decoder import Decoder, frozen
from qcqa.text.known_rises import KnownRises
from qcqa.text.refit import RefitSettings, fit_layer
from qcqa.text.source_reading import SourceReading

#: Makes the model in which one layer alone is grouped; nothing but attentions may be copied.
MergeLayer = Callable[[int, LayerChoice], PreTrainedModel]


class RiseMeter:
    """Measures rises of the calibration loss, one layer at a time.

    Parameters
    ----------
    reading : SourceReading
        Of the source and the calibration text; fitted to where there is a refit.
    merge_layer : callable
        Converts one layer.
    refit_settings : RefitSettings or None
        How the merged layer is fitted before it is measured; None to measure it as merged.
    known : KnownRises, optional
        Rises that were measured before, and where new ones are kept.
    """

    def __init__(
        self,
        reading: SourceReading,
        merge_layer: MergeLayer,
        refit_settings: RefitSettings | None,
        known: KnownRises | None = None,
    ):
        self._reading = reading
        self._merge_layer = merge_layer
        self._refit = refit_settings
        self._known = known or KnownRises()

    def __call__(self, layer: int, choices: Sequence[LayerChoice]) -> NDArray[np.float64]:
        """Return the rise, nats per token, for some choices of a layer: shape (C,)."""
        changes = [(site_to_json(choice.key), site_to_json(choice.value)) for choice in choices]
        return self._known.of(layer, changes, lambda place: self._rise(layer, choices[place]))

    def _rise(self, layer: int, choice: LayerChoice) -> float:
        if choice == LayerChoice():
            return 0.0
        merged = self._merge_layer(layer, choice)
        teacher, student = self._reading.decoder, Decoder(merged)
        with self._reading.at(layer), frozen(merged):
            if self._refit:
                fit_layer(teacher, student, layer, *self._reading.fitted(), self._refit)
            return self._reading.divergence(
                lambda _batch, hidden: teacher.logits_after(
                    layer, teacher.step(layer, hidden, by=student)
                )
            )
