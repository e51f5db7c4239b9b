"""The fitness ``output-error``: what the svd merge of a layer's groups loses, from Grams alone."""

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcqa.reduce.groups.grouping import block_labels
from qcqa.reduce.groups.subspace.gram import Gram

FloatArray = NDArray[np.float64]


class SubspaceObjective:
    """Error of the attention's output when groups of a layer's heads share a subspace.

    Satisfies :class:`qcqa.reduce.groups.objective.Objective`. The error of a group that was asked
    for once is kept, because a search asks for the same groups many times; neither those nor the
    Grams travel to other processes.

    Parameters
    ----------
    load : callable
        Returns the Grams of the keys, of the values, or of both where they are grouped alike:
        errors add up. Picklable; called when the first error is asked for.
    guide : array, shape (H, H)
        As :func:`pair_guide` makes it of them.
    bound : array, shape (H,)
        Of all of them together.
    block_errors : array
        As :func:`errors_of_blocks` returns them.
    """

    def __init__(
        self,
        load: Callable[[], Sequence[Gram]],
        guide: FloatArray,
        bound: FloatArray,
        block_errors: FloatArray,
    ):
        self._load = load
        self._guide = guide
        self._bound = bound
        self._block_errors = block_errors
        self._grams: Sequence[Gram] = ()
        self._known: dict[tuple[int, ...], float] = {}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_grams": (), "_known": {}}

    @property
    def num_heads(self) -> int:
        """Heads of the layer, ``H``."""
        return len(self._guide)

    @property
    def total(self) -> float:
        """The error if all heads vanished."""
        return float(np.trace(self._guide))

    @property
    def gram(self) -> FloatArray:
        """A Gram (H, H) whose WSE is the error of each pair, and whose trace is :attr:`total`."""
        return self._guide

    @property
    def guided_exactly(self) -> bool:
        """Never: :attr:`gram` is right for pairs of heads only."""
        return False

    def error(self, labels: NDArray[np.integer]) -> FloatArray:
        """Return the error of every grouping of a population (P, H), shape (P,)."""
        groups = [
            [tuple(np.flatnonzero(row == label).tolist()) for label in np.unique(row)]
            for row in labels
        ]
        errors = iter(self.error_of_groups([group for candidate in groups for group in candidate]))
        return np.array([sum(next(errors) for _ in candidate) for candidate in groups])

    def error_of_groups(self, groups: Sequence[tuple[int, ...]]) -> FloatArray:
        """Return the error of letting each of these groups of heads share, shape (G,).

        To the rounding of the Grams for small groups; for large ones about a thousandth
        more.
        """
        if not self._known:
            blocks = _blocks(self.num_heads)
            self._known = dict(zip(blocks, self._block_errors.tolist(), strict=True))
        names = [tuple(sorted(group)) for group in groups]
        new = {name for name in names if name not in self._known}
        for size in sorted({len(name) for name in new}):
            of_size = sorted(name for name in new if len(name) == size)
            errors = errors_of(self._loaded(), of_size)
            self._known |= zip(of_size, errors.tolist(), strict=True)
        return np.array([self._known[name] for name in names], dtype=np.float64)

    def bound(self) -> FloatArray:
        """Return what no grouping of ``k`` groups is below at ``k - 1``, shape (H,)."""
        return self._bound

    def _loaded(self) -> Sequence[Gram]:
        self._grams = self._grams or self._load()
        return self._grams


def errors_of_blocks(grams: Sequence[Gram]) -> FloatArray:
    """Return the errors of blocks of neighbours of nearly one size, in a fixed order.

    Every search judges them, so that it does not lose to GQA, and the largest take longest.
    """
    blocks = _blocks(grams[0].num_heads)
    return np.concatenate([errors_of(grams, [block]) for block in blocks])


def _blocks(num_heads: int) -> list[tuple[int, ...]]:
    labels = block_labels(num_heads)
    blocks = {
        tuple(np.flatnonzero(row == label).tolist()) for row in labels for label in np.unique(row)
    }
    return sorted(blocks)


def errors_of(grams: Sequence[Gram], groups: Sequence[tuple[int, ...]]) -> FloatArray:
    """Return the errors of groups of one size, shape (G,)."""
    members = np.array(groups, dtype=np.int64)
    return np.asarray(sum(gram.errors(members) for gram in grams))


def pair_guide(grams: Sequence[Gram]) -> FloatArray:
    """Return a Gram (H, H) whose WSE is the error of each pair of heads.

    Its trace is the error if all heads vanished. Guides of keys and of values add up to that of
    both.
    """
    num_heads = grams[0].num_heads
    squares = np.zeros((num_heads, num_heads))  # squared distances; the WSE of a pair is half
    pairs = list(combinations(range(num_heads), 2))
    if pairs:
        first, second = np.array(pairs).T
        squares[first, second] = squares[second, first] = 2 * errors_of(grams, pairs)
    mean = squares.mean(axis=0)
    gram = -(squares - mean[:, None] - mean + mean.mean()) / 2
    # What is added to all entries moves the origin, and no distance.
    total = sum(part.total for part in grams)
    return np.asarray(gram + (total - np.trace(gram)) / num_heads)
