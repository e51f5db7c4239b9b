"""Genes of NSGA-II: how candidates are written as integers, mixed and changed.

Each encoding works on whole populations: ``X`` has shape (P, V), one row of ``V`` genes per
candidate.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
Rng = np.random.Generator


class Encoding(Protocol):
    """What NSGA-II must know of the genes."""

    num_genes: int

    def sample(self, size: int, rng: Rng) -> IntArray:
        """Return a first population, shape (size, V)."""
        ...

    def canonical(self, genes: IntArray) -> IntArray:
        """Return genes that are equal wherever they mean the same."""
        ...

    def cross(self, first: IntArray, second: IntArray, rng: Rng) -> IntArray:
        """Return one child per row: ``first`` with parts of ``second``."""
        ...

    def mutate(self, genes: IntArray, probability: float, rng: Rng) -> IntArray:
        """Return the rows with each gene changed with this probability."""
        ...


#: Spread of the layers of a random plan round its mean, as a share of their candidates.
_SPREAD = 0.25


class ChoiceGenes:
    """Stage 2: the candidate that each layer takes, counted from its cheapest.

    Parameters
    ----------
    costs : sequence of L arrays, shape (C_l,)
        Of each layer's candidates, increasing.
    """

    def __init__(self, costs: Sequence[IntArray]):
        self.costs = costs
        self.num_genes = len(costs)
        self.num_candidates = np.array([len(cost) for cost in costs])  # (L,)

    def sample(self, size: int, rng: Rng) -> IntArray:
        """Return all plans that allow every layer as much, and random ones.

        So no plan of GQA is better than the first population where stage 1 knows its groupings.
        """
        allowed = np.unique(np.concatenate(self.costs))
        allowed = allowed[allowed >= max(cost[0] for cost in self.costs)]
        alike = np.stack(
            [np.searchsorted(cost, allowed, side="right") - 1 for cost in self.costs], axis=1
        )
        rows = max(size - len(alike), 0)
        share = rng.normal(rng.random((rows, 1)), _SPREAD, size=(rows, self.num_genes)).clip(0, 1)
        mixed = np.rint(share * (self.num_candidates - 1)).astype(np.int64)
        return np.concatenate([alike, mixed])

    def canonical(self, genes: IntArray) -> IntArray:
        """Return the genes, which mean what they say."""
        return genes

    def cross(self, first: IntArray, second: IntArray, rng: Rng) -> IntArray:
        """Take each layer from either parent."""
        share = rng.random((len(first), 1))
        return np.where(rng.random(first.shape) < share, second, first)

    def mutate(self, genes: IntArray, probability: float, rng: Rng) -> IntArray:
        """Move layers to a neighbouring candidate or, as often, to any."""
        step = genes + rng.choice([-1, 1], size=genes.shape)
        jump = rng.integers(0, self.num_candidates, size=genes.shape)
        changed = np.where(rng.random(genes.shape) < 0.5, step, jump)
        changed = changed.clip(0, self.num_candidates - 1)
        return np.where(rng.random(genes.shape) < probability, changed, genes)
