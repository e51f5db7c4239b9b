"""Candidates judged by the measured rise of the loss when their slot alone is grouped."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from qcqa.reduce.groups.search.candidates import GroupCandidates
from qcqa.search.strategy.pareto import nondominated
from qcqa.search.strategy.problem import Rescore

IntArray = NDArray[np.int64]

#: Name of the stage in which candidates are measured.
MEASURING = "measuring the loss"

#: Heads up to which every group count is measured.
_ALL_COUNTS_HEADS = 16
#: Beyond: these group counts, then as many that grow by a factor.
_FEWEST_COUNTS = (1, 2, 3, 4)
_GROWING_COUNTS = 8
#: Rise, in nats per token, below which a measurement is noise. What merges heads is never thought
#: free, so that the source alone is without error.
_LEAST_RISE = 1e-6


def measured(candidates: GroupCandidates, rescore: Rescore) -> GroupCandidates:
    """Return candidates of one slot with measured errors; those of the source's heads are 0.

    Parameters
    ----------
    candidates : GroupCandidates
        Any groupings.
    rescore : callable
        Measures; see :data:`~qcqa.search.strategy.problem.Rescore`.
    """
    error = np.zeros(len(candidates.error))
    merged = np.flatnonzero(candidates.num_groups < candidates.num_heads)
    if len(merged):
        rises = rescore(candidates.slot.layer, candidates.pick(merged).choices)
        error[merged] = np.maximum(rises, _LEAST_RISE)
    return replace(candidates, error=error, total=None)


def measured_choice(
    slots: Sequence[GroupCandidates], rescore: Rescore, on_measured: Callable[[int], None]
) -> tuple[GroupCandidates, ...]:
    """Return every slot's candidates that are worth a choice, by measured error.

    Only :func:`worth_measuring` ones are measured, and of these only those stay that no cheaper
    one equals or beats: more groups never cost more.

    Parameters
    ----------
    slots : sequence of GroupCandidates
        None dominated, by the fitness that guided their search.
    rescore : callable
        Measures.
    on_measured : callable
        Called with the number of slots that are finished.
    """
    result = []
    for finished, candidates in enumerate(slots, start=1):
        found = measured(candidates.pick(worth_measuring(candidates)), rescore)
        result.append(found.pick(nondominated(found.num_stored_heads, found.error)))
        on_measured(finished)
    return tuple(result)


def most_measured(num_heads: int) -> int:
    """Return how many groupings of a slot are measured at most; the source's own heads are not."""
    if num_heads <= _ALL_COUNTS_HEADS:
        return num_heads - 1
    return len(_FEWEST_COUNTS) + _GROWING_COUNTS


def worth_measuring(candidates: GroupCandidates) -> IntArray:
    """Return which candidates to measure: one per group count, of many heads about a dozen.

    Quality falls off where few groups are left, so all small counts are among them.
    """
    best = nondominated(candidates.num_groups, candidates.error)
    counts = candidates.num_groups[best]
    num_heads = candidates.num_heads
    if num_heads <= _ALL_COUNTS_HEADS:
        return best
    growing = np.geomspace(_FEWEST_COUNTS[-1], num_heads - 1, _GROWING_COUNTS + 1)
    wanted = np.concatenate([_FEWEST_COUNTS, growing.round(), [num_heads]])
    nearest = np.abs(counts[:, None] - wanted).argmin(axis=0)
    return np.asarray(best[np.unique(nearest)])
