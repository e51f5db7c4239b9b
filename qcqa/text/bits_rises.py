"""What it costs the model's predictions when a cache is kept in few bits: measured."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from qcqa.conversion.travelling.bits_qcqa import Ladder
from qcqa.conversion.travelling.packed_qcqa import require_packable
from qcqa.errors import SettingsError
from qcqa.text.batches import TokenBatch
from qcqa.text.decoder import frozen
from qcqa.text.known_rises import Change, KnownRises
from qcqa.text.lossy_cache import LossyCache, Site, when_old
from qcqa.text.running import cache_argument
from qcqa.text.source_reading import Attend, SourceReading


class BitsMeter:
    """Measures rises of the calibration loss when sites are quantised, without a refit.

    All of a text is quantised at once, see :class:`~qcqa.text.lossy_cache.LossyCache`: a rise is
    that of a context far longer than window and staircase.

    Parameters
    ----------
    reading : SourceReading
        Of the source and the calibration text.
    known, foreknown : KnownRises, optional
        Rises that were measured, or foretold, before, and where new ones are kept.
    """

    def __init__(
        self,
        reading: SourceReading,
        known: KnownRises | None = None,
        foreknown: KnownRises | None = None,
    ):
        self._reading = reading
        self._known = known or KnownRises()
        self._foreknown = foreknown or KnownRises()

    def __call__(
        self, layer: int, role: Literal["key", "value"], ladders: Sequence[Ladder]
    ) -> NDArray[np.float64]:
        """Return the rise, nats per token, for a site alone on some ladders: shape (C,).

        Raises
        ------
        SettingsError
            If the layer does not see all tokens, or a ladder is not for heads of this size.
        """
        old, changes = _when_old(role, ladders)
        return self._known.of(
            layer, changes, lambda place: self._rise(layer, {(layer, role): old[place]})
        )

    def foretold(
        self, layer: int, role: Literal["key", "value"], ladders: Sequence[Ladder]
    ) -> NDArray[np.float64]:
        """Return the same to second order, far quicker; see :mod:`qcqa.text.fisher`.

        Raises
        ------
        SettingsError
            As where it is measured.
        """
        old, changes = _when_old(role, ladders)
        return self._foreknown.of(
            layer, changes, lambda place: self._foretold(layer, {(layer, role): old[place]})
        )

    def together(
        self, ladders: Mapping[Site, Ladder], model: PreTrainedModel | None = None
    ) -> float:
        """Return the rise, nats per token, of the whole model with some sites quantised.

        Parameters
        ----------
        ladders : mapping
            By layer and role; other sites are kept as they are.
        model : PreTrainedModel, optional
            In place of the source: the converted one, whose stored heads are quantised.

        Raises
        ------
        SettingsError
            As where a site is measured alone.
        """
        read = model or self._reading.source
        old = {site: when_old(ladder) for site, ladder in ladders.items()}
        self._require({layer for layer, _ in old})

        def predict(batch: TokenBatch, _hidden: Tensor) -> Tensor:
            cache = {cache_argument(): _cache(old, batch)}
            logits: Tensor = read(input_ids=batch.token_ids, use_cache=True, **cache).logits
            return logits

        with self._reading.at(0), frozen(read):
            return self._reading.divergence(predict)

    def can_pack(self, layer: int) -> bool:
        """Return whether the cache of a layer sees all tokens, so that older ones can be packed."""
        try:
            require_packable(self._reading.source.config, layer)
        except ValueError:
            return False
        return True

    def _rise(self, layer: int, ladders: Mapping[Site, Ladder]) -> float:
        self._require({layer})
        decoder = self._reading.decoder

        def predict(batch: TokenBatch, hidden: Tensor) -> Tensor:
            moved = decoder.step(layer, hidden, cache=_cache(ladders, batch))
            return decoder.logits_after(layer, moved)

        with self._reading.at(layer):
            return self._reading.rise(predict, self._attend(layer, ladders))

    def _foretold(self, layer: int, ladders: Mapping[Site, Ladder]) -> float:
        self._require({layer})
        with self._reading.at(layer):
            return self._reading.foretold(self._attend(layer, ladders))

    def _attend(self, layer: int, ladders: Mapping[Site, Ladder]) -> Attend:
        decoder = self._reading.decoder
        return lambda batch, hidden: (
            decoder.attend(layer, hidden, cache=_cache(ladders, batch)).output
        )

    def _require(self, layers: set[int]) -> None:
        for layer in sorted(layers):
            try:
                require_packable(self._reading.source.config, layer)
            except ValueError as error:
                raise SettingsError(str(error)) from error


def _cache(ladders: Mapping[Site, Ladder], batch: TokenBatch) -> LossyCache:
    return LossyCache(ladders, batch.is_real.sum(dim=1))


def _when_old(
    role: Literal["key", "value"], ladders: Sequence[Ladder]
) -> tuple[list[Ladder], list[Change]]:
    """Return how blocks are kept where they are old, and what that changes of a layer."""
    old = [when_old(ladder) for ladder in ladders]
    return old, [(role, ladder.to_json()) for ladder in old]
