"""Genes of groupings: how NSGA-II writes them as integers, mixes and changes them.

Whole populations at once: genes have shape (P, V), one row of ``V`` per candidate.
"""

import numpy as np
from numpy.typing import NDArray

from qcqa.reduce.candidates import Slot
from qcqa.reduce.groups.grouping import block_labels, canonical_labels
from qcqa.reduce.groups.search.candidates import GroupCandidates

IntArray = NDArray[np.int64]
Rng = np.random.Generator


def divisors(number: int) -> list[int]:
    """Return the divisors of a number, increasing."""
    return [divisor for divisor in range(1, number + 1) if number % divisor == 0]


#: Children of QCQA-AC that also mutate, where a gene per child does. Crossover of groups does most
#: of the work: with 100 generations at 32 heads a third leaves half the distance to the optimum
#: that all leave.
_MUTATED_SHARE = 1 / 3


class LabelGenes:
    """QCQA-AC (arXiv 2406.10247, section 3): one integer label per head, groups of any size."""

    def __init__(self, num_heads: int):
        self.num_genes = num_heads

    def sample(self, size: int, rng: Rng) -> IntArray:
        """Return MHA, GQA and MQA, and random labels of every group count alike."""
        known = block_labels(self.num_genes)[np.array(divisors(self.num_genes)) - 1]
        counts = rng.integers(1, self.num_genes + 1, size=(size, 1))
        labels = rng.integers(0, counts, size=(size, self.num_genes))
        return self.canonical(np.concatenate([known, labels[: max(size - len(known), 0)]]))

    def canonical(self, genes: IntArray) -> IntArray:
        """Return restricted-growth labels."""
        return canonical_labels(genes)

    def labels(self, genes: IntArray) -> IntArray:
        """Return the labels that genes stand for: themselves."""
        return genes

    def cross(self, first: IntArray, second: IntArray, rng: Rng) -> IntArray:
        """Put some whole groups of ``second`` into ``first``: labels alone mean nothing."""
        share = rng.random((len(first), 1))
        taken_group = rng.random(first.shape) < share  # (P, H): by label of the second parent
        taken = np.take_along_axis(taken_group, second, axis=1)  # (P, H): by head
        return np.where(taken, self.num_genes + second, first)

    def mutate(self, genes: IntArray, probability: float, rng: Rng) -> IntArray:
        """Move heads to other groups, swap two heads or merge two groups, in some of the rows."""
        share = _MUTATED_SHARE * min(1.0, probability * self.num_genes)
        kind = (rng.random(len(genes)) / max(share, 1e-12) * 3).astype(np.int64)  # 3 and up: none
        num_groups = genes.max(axis=1, keepdims=True) + 1
        result = genes.copy()

        moves = np.flatnonzero(kind == 0)
        goal = rng.integers(0, num_groups[moves] + 1, size=(len(moves), self.num_genes))
        moved = rng.random(goal.shape) < probability
        result[moves] = np.where(moved, goal, genes[moves])

        swaps = np.flatnonzero(kind == 1)
        first, second = rng.integers(0, self.num_genes, size=(2, len(swaps)))
        result[swaps, first], result[swaps, second] = genes[swaps, second], genes[swaps, first]

        merges = np.flatnonzero(kind == 2)
        into, gone = rng.integers(0, num_groups[merges, 0], size=(2, len(merges)))[:, :, None]
        result[merges] = np.where(genes[merges] == gone, into, genes[merges])
        return result


class BlockGenes:
    """QCQA-EC (section 3): an order of the heads, cut into blocks of one size.

    The first ``H`` genes are the order, the last says which divisor of ``H`` is the group count.
    """

    def __init__(self, num_heads: int):
        self.num_heads = num_heads
        self.num_genes = num_heads + 1
        self.counts = np.array(divisors(num_heads))

    def sample(self, size: int, rng: Rng) -> IntArray:
        """Return MHA, GQA and MQA, and random orders of every group count."""
        which = np.arange(size) % len(self.counts)
        orders = rng.permuted(np.tile(np.arange(self.num_heads), (size, 1)), axis=1)
        orders[: len(self.counts)] = np.arange(self.num_heads)
        return self.canonical(np.column_stack([orders, which]))

    def labels(self, genes: IntArray) -> IntArray:
        """Return the canonical labels that genes stand for, shape (P, H)."""
        order, which = genes[:, :-1], genes[:, -1]
        sizes = self.num_heads // self.counts[which]
        block = np.arange(self.num_heads) // sizes[:, None]  # (P, H): by position
        labels = np.empty_like(order)
        np.put_along_axis(labels, order, block, axis=1)
        return canonical_labels(labels)

    def canonical(self, genes: IntArray) -> IntArray:
        """Sort the heads within blocks, and the blocks by their first head."""
        order = self.labels(genes).argsort(axis=1, kind="stable")
        return np.column_stack([order, genes[:, -1]])

    def cross(self, first: IntArray, second: IntArray, rng: Rng) -> IntArray:
        """Keep most blocks of ``first``; the other heads follow in the order of ``second``."""
        labels = self.labels(first)
        share = rng.uniform(0.5, 1, size=(len(first), 1))
        kept = np.take_along_axis(rng.random(labels.shape) < share, labels, axis=1)  # (P, H)
        position = second[:, :-1].argsort(axis=1)  # (P, H): of each head
        key = np.where(kept, labels - self.num_heads, position)
        return np.column_stack([key.argsort(axis=1, kind="stable"), first[:, -1]])

    def mutate(self, genes: IntArray, probability: float, rng: Rng) -> IntArray:
        """Swap heads, and cut some orders into blocks of another size."""
        result = genes.copy()
        swaps = rng.binomial(self.num_heads, probability, size=len(genes))
        for swap in range(int(swaps.max(initial=0))):
            rows = np.flatnonzero(swaps > swap)
            first, second = rng.integers(0, self.num_heads, size=(2, len(rows)))
            result[rows, first], result[rows, second] = result[rows, second], result[rows, first]
        recut = rng.random(len(genes)) < probability
        result[recut, -1] = rng.integers(0, len(self.counts), size=int(recut.sum()))
        return result


def candidates_of(
    genes: IntArray, encoding: LabelGenes | BlockGenes, slot: Slot
) -> GroupCandidates:
    """Return what genes stand for as candidates of a slot, not judged yet."""
    return GroupCandidates.unjudged(slot, encoding.labels(genes))
