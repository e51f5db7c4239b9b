"""What a search decides one by one: a layer's heads, or its keys and its values apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from qcqa.plan.grouping import Grouping, LayerGrouping
from qcqa.plan.terms import Kind
from qcqa.reduce.groups.objective import Objective
from qcqa.search.front import LayerCandidates

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_KINDS: dict[bool, tuple[Kind, ...]] = {False: ("shared",), True: ("key", "value")}


@dataclass(frozen=True, slots=True)
class Slot:
    """The heads that one grouping is for.

    Parameters
    ----------
    layer : int
        Number of the layer.
    kind : Kind
        Its keys and values alike, its keys or its values.
    """

    layer: int
    kind: Kind = "shared"

    @property
    def heads_per_group(self) -> int:
        """Cached heads, K plus V, that one group costs."""
        return 2 if self.kind == "shared" else 1

    def alone(self, grouping: Grouping) -> LayerGrouping:
        """Return the layer in which only these heads are grouped."""
        rest = Grouping.singletons(grouping.num_heads)
        return LayerGrouping(
            key=rest if self.kind == "value" else grouping,
            value=rest if self.kind == "key" else grouping,
        )


def slots_of(num_layers: int, *, apart: bool) -> tuple[Slot, ...]:
    """Return the slots of all layers, a layer's keys before its values where they are apart."""
    return tuple(Slot(layer, kind) for layer in range(num_layers) for kind in _KINDS[apart])


@dataclass(frozen=True, eq=False)
class SlotCandidates:
    """Groupings of one slot that a method may choose from.

    Parameters
    ----------
    slot : Slot
        Whose heads.
    labels : array, shape (C, H)
        Canonical labels of each.
    error : array, shape (C,)
        Fitness of each.
    total : float or None
        The error that a relative error of 1 stands for, where the fitness has one.
    """

    slot: Slot
    labels: IntArray
    error: FloatArray
    total: float | None

    @classmethod
    def judged(cls, slot: Slot, objective: Objective, labels: IntArray) -> "SlotCandidates":
        """Return candidates with the errors that the objective gives them."""
        return cls(slot, labels, objective.error(labels), objective.total)

    @property
    def num_heads(self) -> int:
        """Heads of the layer, ``H``."""
        return int(self.labels.shape[1])

    @cached_property
    def num_groups(self) -> IntArray:
        """Groups of each candidate, shape (C,)."""
        return np.asarray(self.labels.max(axis=1) + 1)

    @cached_property
    def cost(self) -> IntArray:
        """Cached heads of each candidate, shape (C,)."""
        return self.num_groups * self.slot.heads_per_group

    def pick(self, kept: IntArray) -> "SlotCandidates":
        """Return some of the candidates."""
        return SlotCandidates(self.slot, self.labels[kept], self.error[kept], self.total)


def combined(
    slots: Sequence[SlotCandidates], choices: IntArray
) -> tuple[tuple[LayerCandidates, ...], IntArray]:
    """Return the candidates of whole layers, and each plan's choice among them.

    Where keys and values are apart, a layer's candidates are the pairs that the plans use: all
    pairs would be too many.

    Parameters
    ----------
    slots : sequence of S SlotCandidates
        In the order of :func:`slots_of`.
    choices : array, shape (N, S)
        The candidate that each plan takes in each slot.
    """
    if all(candidates.slot.kind == "shared" for candidates in slots):
        return tuple(LayerCandidates.shared(s.labels, s.error) for s in slots), choices
    layers, columns = [], []
    for first in range(0, len(slots), 2):
        key, value = slots[first : first + 2]
        pairs, column = np.unique(choices[:, first : first + 2], axis=0, return_inverse=True)
        layers.append(
            LayerCandidates(
                key_labels=key.labels[pairs[:, 0]],
                value_labels=value.labels[pairs[:, 1]],
                error=key.error[pairs[:, 0]] + value.error[pairs[:, 1]],
            )
        )
        columns.append(column.reshape(-1))
    return tuple(layers), np.stack(columns, axis=1)
