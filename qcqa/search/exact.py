"""The best grouping of a few heads for every group count, proven by trying all subsets."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Heads up to which all ``3^H`` splits of subsets are tried: about a tenth of a second a layer.
EXACT_HEADS = 12


def exact_labels(gram: FloatArray) -> IntArray:
    """Return the grouping of least WSE for every group count.

    The best ``k`` groups of a set S of heads are one group T with the lowest head of S, and the
    best ``k - 1`` groups of what remains. Costs ``O(3^H H)``.

    Parameters
    ----------
    gram : array, shape (H, H)
        Inner products between the heads; ``H`` at most :data:`EXACT_HEADS` or some more.

    Returns
    -------
    array, shape (H, H)
        Row ``k - 1`` has ``k`` groups with labels 0 to ``k - 1``.
    """
    num_heads = len(gram)
    shared = _shared_norms(gram)  # (2^H,)
    # Kept norm of the best k groups of each set; column 0 belongs to the empty set only.
    kept = np.full((1 << num_heads, num_heads + 1), -np.inf)
    kept[0, 0] = 0.0
    first_group = np.zeros((1 << num_heads, num_heads + 1), dtype=np.int64)
    for heads in _sets_to_solve(num_heads):
        groups = _subsets_with_lowest(heads)  # (S,)
        total = shared[groups, None] + kept[heads ^ groups, :-1]  # (S, H)
        best = total.argmax(axis=0)  # (H,)
        kept[heads, 1:] = np.take_along_axis(total, best[None], axis=0)[0]
        first_group[heads, 1:] = groups[best]

    table = np.empty((num_heads, num_heads), dtype=np.int64)
    for num_groups in range(1, num_heads + 1):
        remaining = (1 << num_heads) - 1
        for label in range(num_groups):
            group = int(first_group[remaining, num_groups - label])
            table[num_groups - 1, _members(group, num_heads)] = label
            remaining ^= group
    return table


def _shared_norms(gram: FloatArray) -> FloatArray:
    """Return ``(1' G_gg 1) / |g|`` of every set of heads, shape (2^H,); 0 for the empty set."""
    num_heads = len(gram)
    sets = np.arange(1 << num_heads)
    member = ((sets[:, None] >> np.arange(num_heads)) & 1).astype(np.float64)  # (2^H, H)
    norm = np.einsum("si,si->s", member @ gram, member)
    return np.asarray(norm / np.maximum(member.sum(axis=1), 1))


def _sets_to_solve(num_heads: int) -> tuple[int, ...]:
    """Return the sets that can remain when groups are split off, each after all its subsets.

    Head 0 goes with the first group, so every set but the full one lacks it and is even.
    """
    full = (1 << num_heads) - 1
    return (*range(2, full, 2), full)


@lru_cache(maxsize=1 << (EXACT_HEADS + 1))
def _subsets_with_lowest(heads: int) -> IntArray:
    """Return the subsets of a set that hold its lowest head, shape (S,)."""
    lowest = heads & -heads
    subsets = np.array([lowest], dtype=np.int64)
    rest = heads ^ lowest
    while rest:
        bit = rest & -rest
        subsets = np.concatenate([subsets, subsets | bit])
        rest ^= bit
    return subsets


def _members(group: int, num_heads: int) -> list[int]:
    return [head for head in range(num_heads) if group >> head & 1]
