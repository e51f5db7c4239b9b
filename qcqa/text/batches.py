"""Windows of tokens as batches for a model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class TokenBatch:
    """Windows of like length, padded behind, where a causal model does not see it.

    Parameters
    ----------
    token_ids : Tensor, shape (B, T)
        Zero where it is padding.
    is_real : Tensor, shape (B, T), bool
        Whether a token is none of the padding.
    """

    token_ids: Tensor
    is_real: Tensor

    @property
    def num_tokens(self) -> int:
        """Real tokens."""
        return int(self.is_real.sum())


def make_batches(
    windows: Sequence[NDArray[np.int32]], *, batch_tokens: int, device: torch.device | str = "cpu"
) -> list[TokenBatch]:
    """Return windows as batches, like lengths together.

    Parameters
    ----------
    windows : sequence of arrays, shape (T,)
        Token ids.
    batch_tokens : int
        Tokens of a batch, padding included; one window may have more.
    device : device
        Of the batches.
    """
    ordered = sorted(windows, key=len)
    return [_padded(some, device) for some in _parts(ordered, batch_tokens)]


def _parts(
    ordered: Sequence[NDArray[np.int32]], batch_tokens: int
) -> Iterator[Sequence[NDArray[np.int32]]]:
    start = 0
    for stop in range(1, len(ordered) + 1):
        is_last = stop == len(ordered)
        if is_last or (stop + 1 - start) * len(ordered[stop]) > batch_tokens:
            yield ordered[start:stop]
            start = stop


def _padded(windows: Sequence[NDArray[np.int32]], device: torch.device | str) -> TokenBatch:
    width = max(map(len, windows))
    ids = torch.zeros((len(windows), width), dtype=torch.long)
    real = torch.zeros((len(windows), width), dtype=torch.bool)
    for row, window in enumerate(windows):
        ids[row, : len(window)] = torch.from_numpy(window.astype(np.int64))
        real[row, : len(window)] = True
    return TokenBatch(ids.to(device), real.to(device))
