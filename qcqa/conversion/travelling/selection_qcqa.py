"""Picking entries of a dimension by number."""

from collections.abc import Sequence

import torch
from torch import Tensor


class Selection:
    """Picks entries of one dimension by number; the index follows its tensor from device to device.

    It is no buffer, because ``from_pretrained`` leaves those of an unknown kind without content.

    Parameters
    ----------
    entries : sequence of int
        The entry that stands at each place of the result.
    dim : int
        The dimension.
    """

    def __init__(self, entries: Sequence[int], dim: int):
        self._entries = list(entries)
        self._dim = dim
        self._index: dict[torch.device, Tensor] = {}

    def __call__(self, states: Tensor) -> Tensor:
        """Return the picked entries."""
        if torch.compiler.is_compiling():
            return states.index_select(self._dim, self._on(states.device))
        index = self._index.get(states.device)
        if index is None:
            # An index made in inference mode could not serve a backward pass later.
            with torch.inference_mode(False):
                index = self._on(states.device)
            self._index[states.device] = index
        return states.index_select(self._dim, index)

    def _on(self, device: torch.device) -> Tensor:
        return torch.tensor(self._entries, dtype=torch.long, device=device)
