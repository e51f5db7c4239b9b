"""What a method yields: candidates per layer, and the trades between them.

Costs are bits of the KV cache per token: whole numbers; see :mod:`qcqa.reduce.stored`.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.picture import LayerPicture
from qcqa.reduce.terms import Fitness, MergeName

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LayerCandidates:
    """What may be chosen in one layer.

    Parameters
    ----------
    num_heads : int
        KV heads of the source, ``H``.
    choices : tuple of LayerChoice
        ``C`` of them.
    cost : array, shape (C,)
        Bits of the cache per token.
    error : array, shape (C,)
        The fitness of each, lower is better: WSE, or what the front says.
    """

    num_heads: int
    choices: tuple[LayerChoice, ...]
    cost: IntArray
    error: FloatArray

    @cached_property
    def pictures(self) -> tuple[LayerPicture, ...]:
        """What becomes of the heads in each candidate, ``C`` of them."""
        return tuple(choice.picture(self.num_heads) for choice in self.choices)


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
    sizes : array, shape (N,), or None
        What the plans take at the load that is looked at, where that differs from their costs;
        see :mod:`qcqa.search.sizes`.
    """

    method: str
    layers: tuple[LayerCandidates, ...]
    choices: IntArray
    fitness: Fitness = "wse"
    total: float | None = None
    merge: MergeName = "mean"
    refit: bool = False
    apart: bool = False
    sizes: IntArray | None = None

    @cached_property
    def stored_heads(self) -> IntArray:
        """K heads, then V heads, that every layer of every plan keeps, shape (2, N, L)."""
        kept = [
            np.array([[site.num_stored for site in image.sites] for image in layer.pictures])[c].T
            for layer, c in self._picked
        ]  # L of (2, N)
        return np.stack(kept, axis=-1)

    @cached_property
    def layer_cost(self) -> IntArray:
        """Bits per token of every layer of every plan, shape (N, L)."""
        return np.stack([layer.cost[c] for layer, c in self._picked], axis=1)

    @cached_property
    def layer_error(self) -> FloatArray:
        """Error of every layer of every plan, shape (N, L)."""
        return np.stack([layer.error[c] for layer, c in self._picked], axis=1)

    @cached_property
    def cost(self) -> IntArray:
        """Bits of the cache per token of each plan, shape (N,), increasing."""
        return np.asarray(self.layer_cost.sum(axis=1))

    @cached_property
    def error(self) -> FloatArray:
        """Summed error of each plan, shape (N,), decreasing."""
        return np.asarray(self.layer_error.sum(axis=1))

    @cached_property
    def has_codecs(self) -> bool:
        """Whether any plan caches states otherwise than projections make them.

        Through a linear map, or in fewer bits.
        """
        return any(
            any((*choice.codecs(), *choice.map_shapes(layer.num_heads)))
            for layer in self.layers
            for choice in layer.choices
        )

    @property
    def _picked(self) -> list[tuple[LayerCandidates, IntArray]]:
        """Every layer's candidates, and those that the plans take of them, shape (N,)."""
        return list(zip(self.layers, self.choices.T, strict=True))

    def __len__(self) -> int:
        return len(self.choices)

    @property
    def size(self) -> IntArray:
        """Bits of the cache per token of each plan at the load that is looked at, shape (N,)."""
        return self.cost if self.sizes is None else self.sizes

    @cached_property
    def unbeaten(self) -> IntArray:
        """Plans that no other beats at the load that is looked at: increasing in size as well."""
        least = np.minimum.accumulate(self.size[::-1])[::-1]
        return np.flatnonzero(self.size < np.append(least[1:], np.inf))

    def within(self, kv_bits: int) -> int | None:
        """Return the best plan of at most so many bits per token, or None if there is none."""
        fitting = np.flatnonzero(self.size <= kv_bits)
        return int(fitting[-1]) if len(fitting) else None

    def point(self, kv_bits: int) -> tuple[str, int]:
        """Return the method, and the budget at any load within which the same plan is the best.

        Parameters
        ----------
        kv_bits : int
            Budget at the load that is looked at; some plan must fit.
        """
        place = self.within(kv_bits)
        assert place is not None
        return self.method, kv_bits if self.sizes is None else int(self.cost[place])

    def size_of(self, kv_bits: int) -> int:
        """Return the size of the plan of this cost; where there is none, the cost."""
        place = int(np.searchsorted(self.cost, kv_bits))
        is_there = place < len(self) and self.cost[place] == kv_bits
        return int(self.size[place]) if is_there else kv_bits

    def plan_layers(self, plan: int) -> tuple[LayerChoice, ...]:
        """Return what one plan chooses in every layer, ``L`` of them."""
        row = self.choices[plan].tolist()
        return tuple(layer.choices[c] for layer, c in zip(self.layers, row, strict=True))


@dataclass(frozen=True, eq=False)
class LowerBound:
    """The error below which no grouping can come, at every cost.

    Parameters
    ----------
    cost : array, shape (M,)
        Bits of the cache per token, increasing.
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
        return (self.apart or not front.apart) and not front.has_codecs

    def at(self, kv_bits: int) -> float | None:
        """Return the bound for plans of at most this cost, or None where no plan exists."""
        index = int(np.searchsorted(self.cost, kv_bits, side="right")) - 1
        return float(self.error[index]) if index >= 0 else None
