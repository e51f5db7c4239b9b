"""Local search for groupings of a fixed group count: moves of one head and swaps of two.

Many candidates climb at once. Sums of inner products between heads and groups are kept up to date,
so that a step costs ``O(H K)`` per candidate.
"""

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Gains below this share of the trace are rounding.
_ROUNDING = 1e-12
#: Elements of one batch's largest array: what stays in a core's cache.
_BATCH_ELEMENTS = 1 << 16


def local_search(gram: FloatArray, labels: NDArray[np.integer]) -> IntArray:
    """Return groupings that no move of a head and no swap of two heads improves.

    Parameters
    ----------
    gram : array, shape (H, H)
        Inner products between the heads.
    labels : array, shape (B, H)
        Starts; the labels of a row are 0 to ``k - 1``, none unused. Rows may differ in ``k``.

    Returns
    -------
    array, shape (B, H)
        Rows with as many groups as they had, and never a larger WSE.
    """
    num_heads = len(gram)
    result = labels.astype(np.int64)
    num_groups = result.max(axis=1) + 1  # (B,)
    order = np.argsort(num_groups, kind="stable")
    start = 0
    while start < len(order):
        # Rows of similar k together waste no columns.
        widest = int(num_groups[order[start]])
        stop = start + 1
        while stop < len(order):
            widest = int(num_groups[order[stop]])
            if (stop + 1 - start) * num_heads * widest > _BATCH_ELEMENTS:
                break
            stop += 1
        rows = order[start:stop]
        result[rows] = _Climb(gram, result[rows]).run()
        start = stop
    return result


class _Climb:
    """Candidates of one batch and the sums that their steps need."""

    def __init__(self, gram: FloatArray, labels: IntArray):
        self.gram = gram
        self.norm = np.diag(gram)  # (H,)
        self.distance = self.norm[:, None] + self.norm - 2 * gram  # (H, H), squared
        self.tolerance = _ROUNDING * float(np.trace(gram))
        self.labels = labels.copy()  # (B, H)
        batch, num_heads = labels.shape
        num_groups = int(labels.max()) + 1
        member = labels[:, :, None] == np.arange(num_groups)  # (B, H, K)
        self.size = member.sum(axis=1).astype(np.float64)  # (B, K); 0 where a row has no such group
        self.inner = gram @ member.astype(np.float64)  # (B, H, K): of a head with a group
        self.total = np.where(member, self.inner, 0.0).sum(axis=1)  # (B, K): 1' G_gg 1
        self.enter = np.empty((batch, num_heads, num_groups))  # (B, H, K): gain of joining
        everything = np.arange(batch)
        for group in range(num_groups):
            self._refresh(everything, np.full(batch, group))

    def run(self) -> IntArray:
        """Step until no candidate improves, and return the labels."""
        active = np.arange(len(self.labels))
        while len(active):
            stuck = self._move(active)
            stuck = stuck[~self._swap(stuck)] if len(stuck) else stuck
            active = np.setdiff1d(active, stuck, assume_unique=True)
        return self.labels

    def _move(self, rows: IntArray) -> IntArray:
        """Make the best move of each row; return the rows where none gains."""
        labels = self.labels[rows]  # (R, H)
        inner = self._inner_with_group(rows, labels)
        size = np.take_along_axis(self.size[rows], labels, axis=1)
        total = np.take_along_axis(self.total[rows], labels, axis=1)
        # A group of one must stay, or the group count would fall.
        after = (total - 2 * inner + self.norm) / np.where(size > 1, size - 1, 1.0)
        leave = np.where(size > 1, total / size - after, np.inf)  # (R, H): loss of leaving
        enter = self.enter if len(rows) == len(self.labels) else self.enter[rows]
        target = enter.argmax(axis=2)  # (R, H)
        gain = np.take_along_axis(enter, target[:, :, None], axis=2)[:, :, 0] - leave
        head = gain.argmax(axis=1)  # (R,)
        each = np.arange(len(rows))
        moves = gain[each, head] > self.tolerance
        movers, heads = rows[moves], head[moves]
        source, goal = labels[each, head][moves], target[each, head][moves]
        self._transfer(movers, heads, source, goal)
        self._refresh(movers, source)
        self._refresh(movers, goal)
        stuck: IntArray = rows[~moves]
        return stuck

    def _swap(self, rows: IntArray) -> NDArray[np.bool_]:
        """Make the best swap of each row where one gains; return whether it did, shape (R,)."""
        labels = self.labels[rows]  # (R, H)
        num_heads = labels.shape[1]
        # across[r, j, i]: inner product of head j with the group of head i
        across = np.take_along_axis(self.inner[rows], labels[:, None, :], axis=2)  # (R, H, H)
        inner = np.einsum("rii->ri", across)
        size = np.take_along_axis(self.size[rows], labels, axis=1)
        # Change of the kept norm of i's group when j takes i's place.
        replace = (2 * (across - inner[:, None, :]) + self.distance) / size[:, None, :]
        gain = replace + replace.transpose(0, 2, 1)
        gain[labels[:, :, None] == labels[:, None, :]] = -np.inf
        pair = gain.reshape(len(rows), -1).argmax(axis=1)
        swaps = gain.reshape(len(rows), -1)[np.arange(len(rows)), pair] > self.tolerance
        swappers = rows[swaps]
        head, other = np.divmod(pair[swaps], num_heads)
        group, other_group = self.labels[swappers, head], self.labels[swappers, other]
        self._transfer(swappers, head, group, other_group)
        self._transfer(swappers, other, other_group, group)
        self._refresh(swappers, group)
        self._refresh(swappers, other_group)
        return np.asarray(swaps)

    def _transfer(self, rows: IntArray, head: IntArray, source: IntArray, goal: IntArray) -> None:
        """Move one head of each row from group ``source`` to ``goal``; all of shape (R,)."""
        norm, inner = self.norm[head], self.gram[head]  # (R,), (R, H)
        self.total[rows, source] += norm - 2 * self.inner[rows, head, source]
        self.total[rows, goal] += norm + 2 * self.inner[rows, head, goal]
        self.inner[rows, :, source] -= inner
        self.inner[rows, :, goal] += inner
        self.size[rows, source] -= 1
        self.size[rows, goal] += 1
        self.labels[rows, head] = goal

    def _refresh(self, rows: IntArray, group: IntArray) -> None:
        """Compute anew what each head of these rows gains by joining ``group``, shape (R,)."""
        total, size = self.total[rows, group][:, None], self.size[rows, group][:, None]  # (R, 1)
        grown = (total + 2 * self.inner[rows, :, group] + self.norm) / (size + 1)  # (R, H)
        gain = grown - total / np.maximum(size, 1)
        member = self.labels[rows] == group[:, None]
        self.enter[rows, :, group] = np.where(member | (size == 0), -np.inf, gain)

    def _inner_with_group(self, rows: IntArray, labels: IntArray) -> FloatArray:
        heads = np.arange(labels.shape[1])
        return np.asarray(self.inner[rows[:, None], heads, labels])  # (R, H)
