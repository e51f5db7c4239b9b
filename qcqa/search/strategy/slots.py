"""What a search decides one by one: a layer's heads, or its keys and its values apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from qcqa.model.spec import ModelSpec
from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.groups.grouping import Grouping, site_of
from qcqa.reduce.groups.objective import Objective
from qcqa.reduce.terms import Kind
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

    def choice(self, grouping: Grouping) -> LayerChoice:
        """Return the choice of a layer in which only these heads are grouped."""
        site = site_of(grouping)
        return LayerChoice(
            key=() if self.kind == "value" else site, value=() if self.kind == "key" else site
        )


def slots_of(num_layers: int, *, apart: bool) -> tuple[Slot, ...]:
    """Return the slots of all layers, a layer's keys before its values where they are apart."""
    return tuple(Slot(layer, kind) for layer in range(num_layers) for kind in _KINDS[apart])


@dataclass(frozen=True, eq=False)
class GroupCandidates:
    """Groupings of one slot's heads, as they are searched.

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
    def judged(cls, slot: Slot, objective: Objective, labels: IntArray) -> "GroupCandidates":
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
    def num_stored_heads(self) -> IntArray:
        """K heads plus V heads that each candidate keeps of the slot, shape (C,)."""
        return self.num_groups * self.slot.heads_per_group

    def pick(self, kept: IntArray) -> "GroupCandidates":
        """Return some of the candidates."""
        return GroupCandidates(self.slot, self.labels[kept], self.error[kept], self.total)

    def candidates(self, spec: ModelSpec) -> "Candidates":
        """Return them as whatever reduces a cache is chosen from."""
        return Candidates(
            slot=self.slot,
            choices=tuple(self.slot.choice(Grouping.from_labels(row)) for row in self.labels),
            cost=self.num_stored_heads * spec.head_bits,
            error=self.error,
            total=self.total,
        )


@dataclass(frozen=True, eq=False)
class Candidates:
    """What may be chosen at one slot: all that allocation and fronts see.

    Parameters
    ----------
    slot : Slot
        What is decided.
    choices : tuple of LayerChoice
        ``C`` of them; they leave the rest of the layer as it is.
    cost : array, shape (C,)
        Bits of the slot's cache per token.
    error : array, shape (C,)
        Fitness of each.
    total : float or None
        The error that a relative error of 1 stands for, where the fitness has one.
    """

    slot: Slot
    choices: tuple[LayerChoice, ...]
    cost: IntArray
    error: FloatArray
    total: float | None = None

    def pick(self, kept: IntArray) -> "Candidates":
        """Return some of the candidates."""
        choices = tuple(self.choices[place] for place in kept.tolist())
        return Candidates(self.slot, choices, self.cost[kept], self.error[kept], self.total)


def combined(
    slots: Sequence[Candidates], plans: IntArray, num_heads: int
) -> tuple[tuple[LayerCandidates, ...], IntArray]:
    """Return the candidates of whole layers, and each plan's choice among them.

    Where keys and values are apart, a layer's candidates are the pairs that the plans use: all
    pairs would be too many.

    Parameters
    ----------
    slots : sequence of S Candidates
        In the order of :func:`slots_of`.
    plans : array, shape (N, S)
        The candidate that each plan takes in each slot.
    num_heads : int
        KV heads of the source.
    """
    if all(one.slot.kind == "shared" for one in slots):
        whole = (LayerCandidates(num_heads, s.choices, s.cost, s.error) for s in slots)
        return tuple(whole), plans
    layers: list[LayerCandidates] = []
    columns = []
    for first in range(0, len(slots), 2):
        key, value = slots[first : first + 2]
        pairs, column = np.unique(plans[:, first : first + 2], axis=0, return_inverse=True)
        layers.append(
            LayerCandidates(
                num_heads,
                choices=tuple(
                    LayerChoice(key.choices[k].key, value.choices[v].value)
                    for k, v in pairs.tolist()
                ),
                cost=key.cost[pairs[:, 0]] + value.cost[pairs[:, 1]],
                error=key.error[pairs[:, 0]] + value.error[pairs[:, 1]],
            )
        )
        columns.append(column.reshape(-1))
    return tuple(layers), np.stack(columns, axis=1)
