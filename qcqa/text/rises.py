"""What it costs the model's predictions when one layer's heads share: measured, not guessed."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel

from qcqa.plan.grouping import LayerGrouping
from qcqa.text.decoder import Decoder, frozen
from qcqa.text.known_rises import KnownRises
from qcqa.text.refit import RefitSettings, fit_layer
from qcqa.text.source_reading import SourceReading

#: Makes the model in which one layer alone is grouped; nothing but attentions may be copied.
MergeLayer = Callable[[int, LayerGrouping], PreTrainedModel]


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

    def __call__(self, layer: int, groupings: Sequence[LayerGrouping]) -> NDArray[np.float64]:
        """Return the rise, nats per token, for some groupings of a layer: shape (G,)."""
        changes = [(list(one.key.labels), list(one.value.labels)) for one in groupings]
        return self._known.of(layer, changes, lambda place: self._rise(layer, groupings[place]))

    def _rise(self, layer: int, grouping: LayerGrouping) -> float:
        if grouping.num_cached_heads == 2 * grouping.key.num_heads:
            return 0.0
        merged = self._merge_layer(layer, grouping)
        teacher, student = self._reading.decoder, Decoder(merged)
        with self._reading.at(layer), frozen(merged):
            if self._refit:
                fit_layer(teacher, student, layer, *self._reading.fitted(), self._refit)
            return self._reading.divergence(
                lambda _batch, hidden: teacher.logits_after(
                    layer, teacher.step(layer, hidden, by=student)
                )
            )
