"""What a method yields: candidate groupings per layer, and the trades between them.

Costs are counted in *cached heads*, K heads plus V heads over all layers: whole numbers, exact,
and proportional to the bytes of the KV cache.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from qcqa.plan.grouping import Grouping, LayerGrouping
from qcqa.plan.terms import Fitness, MergeName

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LayerCandidates:
    """Groupings of one layer that a method may choose from.

    Parameters
    ----------
    key_labels, value_labels : array, shape (C, H)
        Canonical labels of each candidate; the same array where K and V are grouped alike.
    error : array, shape (C,)
        The fitness of each, lower is better: WSE, or what the front says.
    """

    key_labels: IntArray
    value_labels: IntArray
    error: FloatArray

    @classmethod
    def shared(cls, labels: IntArray, error: FloatArray) -> "LayerCandidates":
        """Return candidates that group keys and values alike."""
        return cls(key_labels=labels, value_labels=labels, error=error)

    @cached_property
    def key_heads(self) -> IntArray:
        """K heads that each candidate keeps, shape (C,)."""
        return np.asarray(self.key_labels.max(axis=1) + 1)

    @cached_property
    def value_heads(self) -> IntArray:
        """V heads that each candidate keeps, shape (C,)."""
        return np.asarray(self.value_labels.max(axis=1) + 1)

    @cached_property
    def cost(self) -> IntArray:
        """Cached heads of each candidate, shape (C,)."""
        return self.key_heads + self.value_heads

    def layer_grouping(self, candidate: int) -> LayerGrouping:
        """Return one candidate."""
        return LayerGrouping(
            key=Grouping.from_labels(self.key_labels[candidate]),
            value=Grouping.from_labels(self.value_labels[candidate]),
        )


@dataclass(frozen=True, eq=False)
class Front:
    """The plans of one method, from the smallest cache to the largest, none dominated.

    Parameters
    ----------
    method : str
        Name of the method, as on the command line.
    layers : tuple of LayerCandidates
        ``L`` of them.
    choices : array, shape (N, L)
        The candidate that each of the ``N`` plans takes in each layer; sorted by cost.
    fitness : Fitness
        What the errors are.
    total : float or None
        The error that a relative error of 1 stands for, where the fitness has one.
    merge : MergeName
        How the shared head of a group is computed.
    refit : bool
        Whether a conversion refits the merged attention on calibration text.
    apart : bool
        Whether keys and values were grouped apart from each other.
    """

    method: str
    layers: tuple[LayerCandidates, ...]
    choices: IntArray
    fitness: Fitness = "wse"
    total: float | None = None
    merge: MergeName = "mean"
    refit: bool = False
    apart: bool = False

    @cached_property
    def key_heads(self) -> IntArray:
        """K heads that every layer of every plan keeps, shape (N, L)."""
        return np.stack([layer.key_heads[c] for layer, c in self._picked], axis=1)

    @cached_property
    def value_heads(self) -> IntArray:
        """V heads that every layer of every plan keeps, shape (N, L)."""
        return np.stack([layer.value_heads[c] for layer, c in self._picked], axis=1)

    @property
    def layer_cost(self) -> IntArray:
        """Cached heads of every layer of every plan, shape (N, L)."""
        return self.key_heads + self.value_heads

    @cached_property
    def layer_error(self) -> FloatArray:
        """Error of every layer of every plan, shape (N, L)."""
        return np.stack([layer.error[c] for layer, c in self._picked], axis=1)

    @cached_property
    def cost(self) -> IntArray:
        """Cached heads of each plan, shape (N,), increasing."""
        return np.asarray(self.layer_cost.sum(axis=1))

    @cached_property
    def error(self) -> FloatArray:
        """Summed error of each plan, shape (N,), decreasing."""
        return np.asarray(self.layer_error.sum(axis=1))

    @property
    def _picked(self) -> list[tuple[LayerCandidates, IntArray]]:
        """Every layer's candidates, and those that the plans take of them, shape (N,)."""
        return list(zip(self.layers, self.choices.T, strict=True))

    def __len__(self) -> int:
        return len(self.choices)

    def within(self, num_cached_heads: int) -> int | None:
        """Return the best plan that caches at most so many heads, or None if there is none."""
        fitting = int(np.searchsorted(self.cost, num_cached_heads, side="right"))
        return fitting - 1 if fitting else None

    def groupings(self, plan: int) -> tuple[LayerGrouping, ...]:
        """Return the layer groupings of one plan, ``L`` of them."""
        row = self.choices[plan]
        return tuple(
            layer.layer_grouping(int(c)) for layer, c in zip(self.layers, row, strict=True)
        )


@dataclass(frozen=True, eq=False)
class LowerBound:
    """The error below which no grouping can come, at every cost.

    Parameters
    ----------
    cost : array, shape (M,)
        Cached heads, increasing.
    error : array, shape (M,)
        Bound on the summed error of any plan of at most that cost.
    fitness : Fitness
        What the errors are.
    apart : bool
        Whether it holds for plans that group keys and values apart, too.
    """

    cost: IntArray
    error: FloatArray
    fitness: Fitness = "wse"
    apart: bool = False

    def holds_for(self, front: Front) -> bool:
        """Return whether it holds for plans that group keys and values as those of ``front``."""
        return self.apart or not front.apart

    def at(self, num_cached_heads: int) -> float | None:
        """Return the bound for plans of at most this cost, or None where no plan exists."""
        index = int(np.searchsorted(self.cost, num_cached_heads, side="right")) - 1
        return float(self.error[index]) if index >= 0 else None
