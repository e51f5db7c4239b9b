"""The fitness ``output-error``: what the svd merge of a layer's groups loses, from Grams alone."""

from collections.abc import Sequence
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from qcqa.subspace.layer import Gram

FloatArray = NDArray[np.float64]


class SubspaceObjective:
    """Error of the attention's output when groups of a layer's heads share a subspace.

    Satisfies :class:`qcqa.objective.Objective`. The error of a group that was asked for once is
    kept, because a search asks for the same groups many times.

    Parameters
    ----------
    grams : sequence of Gram
        Of the keys, of the values, or of both where they are grouped alike: errors add up.
    """

    def __init__(self, grams: Sequence[Gram]):
        self._grams = tuple(grams)
        self._known: dict[tuple[int, ...], float] = {}

    @property
    def num_heads(self) -> int:
        """Heads of the layer, ``H``."""
        return self._grams[0].num_heads

    @cached_property
    def total(self) -> float:
        """The error if all heads vanished."""
        return sum(gram.total for gram in self._grams)

    @property
    def guided_exactly(self) -> bool:
        """Never: :attr:`gram` is right for pairs of heads only."""
        return False

    @cached_property
    def gram(self) -> FloatArray:
        """A Gram (H, H) whose WSE is the error of each pair, and whose trace is :attr:`total`."""
        num_heads = self.num_heads
        pairs = list(combinations(range(num_heads), 2))
        squares = np.zeros((num_heads, num_heads))  # squared distances: the WSE of a pair is half
        if pairs:
            first, second = np.array(pairs).T
            squares[first, second] = squares[second, first] = 2 * self.error_of_groups(pairs)
        mean = squares.mean(axis=0)
        gram = -(squares - mean[:, None] - mean + mean.mean()) / 2
        # What is added to all entries moves the origin, and no distance.
        return np.asarray(gram + (self.total - np.trace(gram)) / num_heads)

    def error(self, labels: NDArray[np.integer]) -> FloatArray:
        """Return the error of every grouping of a population (P, H), shape (P,)."""
        groups = [
            [tuple(np.flatnonzero(row == label).tolist()) for label in np.unique(row)]
            for row in labels
        ]
        errors = iter(self.error_of_groups([one for candidate in groups for one in candidate]))
        return np.array([sum(next(errors) for _ in candidate) for candidate in groups])

    def error_of_groups(self, groups: Sequence[tuple[int, ...]]) -> FloatArray:
        """Return the error of letting each of these groups of heads share, shape (G,).

        Exact to the rounding of the Grams for small groups; never less for large ones.
        """
        names = [tuple(sorted(group)) for group in groups]
        new = sorted({name for name in names if name not in self._known}, key=len)
        for size in sorted({len(name) for name in new}):
            of_size = [name for name in new if len(name) == size]
            members = np.array(of_size, dtype=np.int64)
            errors = sum((gram.errors(members) for gram in self._grams), np.zeros(len(of_size)))
            self._known |= zip(of_size, errors.tolist(), strict=True)
        return np.array([self._known[name] for name in names], dtype=np.float64)

    def bound(self) -> FloatArray:
        """Return what no grouping of ``k`` groups is below at ``k - 1``, shape (H,)."""
        return np.asarray(sum(gram.bound() for gram in self._grams))
