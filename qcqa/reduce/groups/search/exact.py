"""The best grouping of a few heads for every group count, proven by trying all subsets."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from qcqa.reduce.groups.objective import Objective, WseObjective

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Heads up to which all ``3^H`` splits of subsets are tried: about a tenth of a second a layer.
EXACT_HEADS = 12


def exact_labels(group_errors: FloatArray) -> IntArray:
    """Return the grouping of least error for every group count.

    The best ``k`` groups of a set S of heads are one group T with the lowest head of S, and the
    best ``k - 1`` groups of what remains. Costs ``O(3^H H)``.

    Parameters
    ----------
    group_errors : array, shape (2^H,)
        Error of every set of heads as a group, as :func:`errors_of_groups` returns them; ``H`` at
        most :data:`EXACT_HEADS` or some more.

    Returns
    -------
    array, shape (H, H)
        Row ``k - 1`` has ``k`` groups with labels 0 to ``k - 1``.
    """
    num_heads = len(group_errors).bit_length() - 1
    # Error of the best k groups of each set; column 0 belongs to the empty set only.
    least = np.full((1 << num_heads, num_heads + 1), np.inf)
    least[0, 0] = 0.0
    first_group = np.zeros((1 << num_heads, num_heads + 1), dtype=np.int64)
    for heads in _sets_to_solve(num_heads):
        groups = _subsets_with_lowest(heads)  # (S,)
        total = group_errors[groups, None] + least[heads ^ groups, :-1]  # (S, H)
        best = total.argmin(axis=0)  # (H,)
        least[heads, 1:] = np.take_along_axis(total, best[None], axis=0)[0]
        first_group[heads, 1:] = groups[best]

    table = np.empty((num_heads, num_heads), dtype=np.int64)
    for num_groups in range(1, num_heads + 1):
        remaining = (1 << num_heads) - 1
        for label in range(num_groups):
            group = int(first_group[remaining, num_groups - label])
            table[num_groups - 1, _members(group, num_heads)] = label
            remaining ^= group
    return table


def errors_of_groups(objective: Objective) -> FloatArray:
    """Return the error of every set of heads as a group, shape (2^H,); bit h stands for head h."""
    if isinstance(objective, TabulatedObjective):
        return objective.group_errors
    return np.concatenate([[0.0], objective.error_of_groups(_all_groups(objective.num_heads))])


@dataclass(frozen=True, slots=True, eq=False)
class TabulatedObjective:
    """An objective of a few heads that knows the error of every group: all else is a look-up.

    Parameters
    ----------
    group_errors : array, shape (2^H,)
        As :func:`errors_of_groups` returns them.
    gram, total
        Of the objective that was tabulated.
    """

    group_errors: FloatArray
    gram: FloatArray
    total: float

    @classmethod
    def of(cls, objective: Objective) -> "TabulatedObjective":
        """Return an objective with its groups tabulated."""
        return cls(errors_of_groups(objective), objective.gram, objective.total)

    @property
    def num_heads(self) -> int:
        """Heads of the layer, ``H``."""
        return len(self.gram)

    @property
    def guided_exactly(self) -> bool:
        """Never: it is the table that guides."""
        return False

    def error(self, labels: NDArray[np.integer]) -> FloatArray:
        """Return the error of every grouping of a population (P, H), shape (P,)."""
        bit = 1 << np.arange(self.num_heads)  # (H,)
        group = (labels[:, :, None] == labels[:, None, :]) @ bit  # (P, H): of each head
        is_lowest = (group & -group) == bit
        return np.asarray(np.where(is_lowest, self.group_errors[group], 0.0).sum(axis=1))

    def error_of_groups(self, groups: Sequence[tuple[int, ...]]) -> FloatArray:
        """Return the error of each group of heads, shape (G,)."""
        sets = [sum(1 << head for head in group) for group in groups]
        return self.group_errors[np.array(sets, dtype=np.int64)]

    def bound(self) -> FloatArray:
        """Return the optimum itself, shape (H,)."""
        return self.error(exact_labels(self.group_errors))


def guide_of(objective: Objective) -> Objective:
    """Return what is quick enough to judge many groupings: itself, or else the WSE of its Gram."""
    is_quick = objective.guided_exactly or objective.num_heads <= EXACT_HEADS
    return objective if is_quick else WseObjective(objective.gram)


def slot_bound(objective: Objective) -> FloatArray:
    """Return the error below which no grouping of a slot comes, for every group count, shape (H,).

    For as many heads as can be solved exactly it is the optimum itself.
    """
    if objective.num_heads <= EXACT_HEADS:
        return objective.error(exact_labels(errors_of_groups(objective)))
    return objective.bound()


@lru_cache(maxsize=4)
def _all_groups(num_heads: int) -> tuple[tuple[int, ...], ...]:
    """Return the heads of every set but the empty one, in the order of their bits."""
    return tuple(tuple(_members(group, num_heads)) for group in range(1, 1 << num_heads))


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
