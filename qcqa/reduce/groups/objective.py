"""What it costs to let the heads of one layer share: the fitness that a search minimises."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from qcqa.reduce.groups.wse import population_wse, spectral_bound

FloatArray = NDArray[np.float64]


class Objective(Protocol):
    """The error of grouping one layer's heads of one kind; picklable, as processes share it."""

    @property
    def num_heads(self) -> int:
        """Heads of the layer, ``H``."""
        ...

    @property
    def total(self) -> float:
        """The error that a relative error of 1 stands for."""
        ...

    @property
    def gram(self) -> FloatArray:
        """A Gram (H, H) whose WSE guides the search where :meth:`error` is too slow for it."""
        ...

    @property
    def guided_exactly(self) -> bool:
        """Whether that WSE is the error itself."""
        ...

    def error(self, labels: NDArray[np.integer]) -> FloatArray:
        """Return the error of every grouping of a population.

        Parameters
        ----------
        labels : array, shape (P, H)
            Group of each head in each candidate; any integers.

        Returns
        -------
        array, shape (P,)
            Summed over groups: zero for singletons, never negative, the same for all names of the
            same groups.
        """
        ...

    def error_of_groups(self, groups: Sequence[tuple[int, ...]]) -> FloatArray:
        """Return the error of letting each of these groups of heads share, shape (G,)."""
        ...

    def bound(self) -> FloatArray:
        """Return what no grouping of ``k`` groups is below at ``k - 1``, shape (H,)."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class WseObjective:
    """The paper's fitness (arXiv 2406.10247, section 3): weight-sharing error.

    Parameters
    ----------
    gram : array, shape (H, H)
        Inner products between the heads.
    """

    gram: FloatArray

    @property
    def num_heads(self) -> int:
        """Heads of the layer, ``H``."""
        return len(self.gram)

    @property
    def total(self) -> float:
        """Squared norm of all heads."""
        return float(np.trace(self.gram))

    @property
    def guided_exactly(self) -> bool:
        """Always: the WSE of :attr:`gram` is the error."""
        return True

    def error(self, labels: NDArray[np.integer]) -> FloatArray:
        """Return the WSE of every grouping of a population (P, H), shape (P,)."""
        return population_wse(self.gram, labels)

    def error_of_groups(self, groups: Sequence[tuple[int, ...]]) -> FloatArray:
        """Return each group's squared distance from its mean, shape (G,)."""
        sizes = np.array([len(group) for group in groups], dtype=np.int64)
        member = np.zeros((len(groups), self.num_heads))
        heads = np.fromiter(chain.from_iterable(groups), dtype=np.int64, count=int(sizes.sum()))
        member[np.repeat(np.arange(len(groups)), sizes), heads] = 1.0
        shared = np.einsum("gi,gi->g", member @ self.gram, member) / np.maximum(sizes, 1)
        error = np.maximum(member @ np.diag(self.gram) - shared, 0.0)
        return np.where(sizes > 1, error, 0.0)

    def bound(self) -> FloatArray:
        """Return the k-means spectral bound, shape (H,)."""
        return spectral_bound(self.gram)
