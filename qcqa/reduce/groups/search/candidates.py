"""Groupings of a slot's heads, as they are searched and judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcqa.model.spec import ModelSpec
from qcqa.reduce.candidates import Candidates, Slot
from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.groups.grouping import Grouping, site_of
from qcqa.reduce.groups.objective import Objective

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class GroupCandidates:
    """Groupings of one slot's heads.

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
    def unjudged(cls, slot: Slot, labels: IntArray) -> "GroupCandidates":
        """Return groupings without errors."""
        return cls(slot, labels, np.zeros(len(labels)), total=None)

    @classmethod
    def blocks(cls, slot: Slot, num_heads: int, counts: Sequence[int]) -> "GroupCandidates":
        """Return GQA's groupings of some counts that divide the heads, without errors."""
        labels = [Grouping.contiguous(num_heads, count).labels for count in counts]
        return cls.unjudged(slot, np.array(labels))

    @classmethod
    def from_json(cls, slot: Slot, content: Mapping[str, Any]) -> "GroupCandidates":
        """Return the candidates of :meth:`to_json`; errors of what it is not are Python's own."""
        labels = np.array(content["labels"], dtype=np.int64)
        return cls(slot, labels, np.array(content["error"], dtype=np.float64), content["total"])

    def to_json(self) -> dict[str, Any]:
        """Return all but the slot as JSON values."""
        arrays = {"labels": self.labels.tolist(), "error": self.error.tolist()}
        return {**arrays, "total": self.total}

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
        return self.num_groups * self.slot.num_sites

    @property
    def choices(self) -> tuple[LayerChoice, ...]:
        """What each candidate chooses in its layer, ``C`` of them."""
        groupings = map(Grouping.from_labels, self.labels)
        return tuple(self.slot.choice(site_of(grouping)) for grouping in groupings)

    def judged(self, objective: Objective) -> "GroupCandidates":
        """Return them with the errors that an objective gives them."""
        return replace(self, error=objective.error(self.labels), total=objective.total)

    def joined(self, other: "GroupCandidates") -> "GroupCandidates":
        """Return these and others of the same slot, without errors."""
        return self.unjudged(self.slot, np.concatenate([self.labels, other.labels]))

    def pick(self, kept: IntArray) -> "GroupCandidates":
        """Return some of the candidates."""
        return replace(self, labels=self.labels[kept], error=self.error[kept])

    def candidates(self, spec: ModelSpec) -> Candidates:
        """Return them as whatever reduces a cache is chosen from."""
        cost = self.num_stored_heads * spec.head_bits
        return Candidates(self.slot, self.choices, cost, self.error, self.total)
