"""The best grouping known of one layer for every group count."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qcqa.reduce.candidates import Slot
from qcqa.reduce.groups.grouping import block_labels, canonical_labels
from qcqa.reduce.groups.objective import Objective
from qcqa.reduce.groups.search.candidates import GroupCandidates
from qcqa.reduce.groups.search.exact import EXACT_HEADS, errors_of_groups, exact_labels
from qcqa.reduce.groups.search.local_search import local_search
from qcqa.reduce.groups.search.ward import ward_labels
from qcqa.reduce.groups.wse import population_wse

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class GroupingTable:
    """Groupings of one layer, one for every group count.

    Parameters
    ----------
    labels : array, shape (H, H)
        Row ``k - 1`` has ``k`` groups; canonical.
    error : array, shape (H,)
        Of each.
    """

    labels: IntArray
    error: FloatArray

    def candidates(self, slot: Slot, total: float) -> GroupCandidates:
        """Return them as candidates of a slot; ``total`` is that of their objective."""
        return GroupCandidates(slot, self.labels, self.error, total)


def best_table(objective: Objective, *, restarts: int, rng: np.random.Generator) -> GroupingTable:
    """Return the best groupings known of a layer.

    Up to :data:`~qcqa.reduce.groups.search.exact.EXACT_HEADS` heads they are proven optimal.
    Beyond, the WSE of the objective's Gram guides :func:`searched_table`; where that is not the
    error itself, Ward's groupings and blocks of neighbours are judged with what it found. So no
    grouping is worse than GQA's.

    Parameters
    ----------
    objective : Objective
        Of the layer's heads.
    restarts : int
        Rounds of perturbed restarts.
    rng : Generator
        For the perturbations.
    """
    if objective.num_heads <= EXACT_HEADS:
        labels = canonical_labels(exact_labels(errors_of_groups(objective)))
        return GroupingTable(labels=labels, error=objective.error(labels))
    found = searched_table(objective.gram, restarts=restarts, rng=rng)
    if objective.guided_exactly:
        return found
    others = [found.labels, ward_labels(objective.gram), block_labels(objective.num_heads)]
    labels = canonical_labels(np.concatenate(others))
    return _best_of_each_count(labels, objective.error(labels))


def searched_table(gram: FloatArray, *, restarts: int, rng: np.random.Generator) -> GroupingTable:
    """Return the table of least WSE that local search finds for two heads or more.

    Ward's agglomeration and blocks of neighbours start a local search, and each restart starts it
    again from the best of the next larger count with two groups merged, of the next smaller with
    one split, and from a shuffle of the best itself. So WSE falls with the group count.

    Parameters
    ----------
    gram : array, shape (H, H)
        Inner products between the heads.
    restarts : int
        Rounds of perturbed restarts.
    rng : Generator
        For the perturbations.
    """
    table = _table(gram, ward_labels(gram))
    table = _improved(gram, table, np.concatenate([table.labels, block_labels(len(gram))]))
    for _ in range(restarts):
        starts = [
            _merged(gram, table.labels[1:], rng),
            _split(gram, table.labels[:-1], rng),
            _shuffled(table.labels, rng),
        ]
        table = _improved(gram, table, np.concatenate(starts))
    return table


def _table(gram: FloatArray, labels: IntArray) -> GroupingTable:
    return GroupingTable(labels=canonical_labels(labels), error=population_wse(gram, labels))


def _improved(gram: FloatArray, table: GroupingTable, starts: IntArray) -> GroupingTable:
    """Return the table with the starts' local optima where they are better."""
    found = local_search(gram, starts)
    labels = np.concatenate([table.labels, canonical_labels(found)])
    error = np.concatenate([table.error, population_wse(gram, found)])
    return _best_of_each_count(labels, error)


def _best_of_each_count(labels: IntArray, error: FloatArray) -> GroupingTable:
    """Return the table of the best among some groupings, which have every group count."""
    num_groups = labels.max(axis=1)
    order = np.lexsort((error, num_groups))  # stable: of equals the older stays
    _, first = np.unique(num_groups[order], return_index=True)
    return GroupingTable(labels=labels[order[first]], error=error[order[first]])


def _merged(gram: FloatArray, labels: IntArray, rng: np.random.Generator) -> IntArray:
    """Return each row with two of its groups merged, cheap pairs more likely."""
    member = labels[:, :, None] == np.arange(labels.max() + 1)  # (B, H, K)
    weights = member.astype(np.float64)
    size = np.maximum(weights.sum(axis=1), 1)  # (B, K)
    inner = weights.transpose(0, 2, 1) @ (gram @ weights)  # (B, K, K)
    total = np.einsum("bkk->bk", inner)
    apart = total / size
    merged = (total[:, :, None] + total[:, None, :] + 2 * inner) / (
        size[:, :, None] + size[:, None, :]
    )
    cost = (apart[:, :, None] + apart[:, None, :] - merged) * rng.exponential(size=merged.shape)
    unused = ~member.any(axis=1)
    cost[unused[:, :, None] | unused[:, None, :]] = np.inf
    cost[:, np.arange(size.shape[1]), np.arange(size.shape[1])] = np.inf
    pair = cost.reshape(len(labels), -1).argmin(axis=1)
    group, other = np.divmod(pair, size.shape[1])
    return canonical_labels(np.where(labels == other[:, None], group[:, None], labels))


def _split(gram: FloatArray, labels: IntArray, rng: np.random.Generator) -> IntArray:
    """Return each row with one head in a group of its own, far ones more likely."""
    same = (labels[:, :, None] == labels[:, None, :]).astype(np.float64)  # (B, H, H)
    size = same.sum(axis=2)  # (B, H)
    inner = (same * gram).sum(axis=2)  # (B, H): of a head with its group
    total = np.einsum("bhk,bk->bh", same, inner)
    distance = np.diag(gram) - 2 * inner / size + total / size**2
    weight = np.where(size > 1, distance.clip(min=0) * rng.exponential(size=distance.shape), -1.0)
    head = weight.argmax(axis=1)
    result = labels.copy()
    result[np.arange(len(labels)), head] = labels.max(axis=1) + 1
    return canonical_labels(result)


def _shuffled(labels: IntArray, rng: np.random.Generator) -> IntArray:
    """Return each row with the labels of a quarter of its heads passed round."""
    batch, num_heads = labels.shape
    heads = rng.random((batch, num_heads)).argsort(axis=1)[:, : max(2, num_heads // 4)]
    rows = np.arange(batch)[:, None]
    result = labels.copy()
    result[rows, heads] = labels[rows, np.roll(heads, 1, axis=1)]
    return result
