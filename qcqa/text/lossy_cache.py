"""A cache that hands back what codecs keep of the keys and values that are put into it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import DynamicCache

from qcqa.conversion.travelling.bits_qcqa import Ladder
from qcqa.conversion.travelling.packed_qcqa import packed_layer
from qcqa.errors import SettingsError

#: The keys, or the values, of a layer.
Site = tuple[int, Literal["key", "value"]]


class LossyCache(DynamicCache):
    """Packs every whole block of a text in one call, the newest tokens too.

    So each token attends to what is stored of all others and of itself, as it does, but for the
    newest ones, in a context that is far longer than window and ladder. What is no whole block of a
    row stays as it is.

    Parameters
    ----------
    ladders : mapping
        By layer and role, as :func:`when_old` returns them; other sites are kept as they are.
    num_tokens : Tensor, shape (B,), int
        Length of each row; padding comes behind it.
    """

    def __init__(self, ladders: Mapping[Site, Ladder], num_tokens: Tensor):
        super().__init__()
        self._ladders = ladders
        self._num_tokens = num_tokens

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Return keys and values (B, H, T, dh) as attention finds them in the cache.

        Raises
        ------
        SettingsError
            If a ladder is not for heads of this size.
        """
        of_keys, of_values = (self._ladders.get((layer_idx, role)) for role in ("key", "value"))
        if of_keys or of_values:
            layer = packed_layer(self, layer_idx, of_keys, of_values)
            layer.answers_with_stored = True
        try:
            keys, values = super().update(key_states, value_states, layer_idx, *args, **kwargs)
        except ValueError as error:
            raise SettingsError(str(error)) from error
        return (
            self._mixed(keys, key_states, of_keys),
            self._mixed(values, value_states, of_values),
        )

    def _mixed(self, stored: Tensor, states: Tensor, ladder: Ladder | None) -> Tensor:
        """Return what is stored of whole blocks, and the rest of each row as it was."""
        if ladder is None:
            return states
        num_packed = self._num_tokens // ladder.block * ladder.block
        is_packed = torch.arange(states.shape[2], device=states.device) < num_packed[:, None]
        return torch.where(is_packed[:, None, :, None], stored, states)  # (B, 1, T, 1)


def when_old(ladder: Ladder) -> Ladder:
    """Return how blocks are kept on the last rung, where most of a long context is."""
    return replace(ladder, rungs=ladder.rungs[-1:], window=0)
