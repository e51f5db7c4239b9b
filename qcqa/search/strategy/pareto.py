"""Fronts of two minimised objectives: which points stay, and how good the front is."""

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def nondominated(cost: NDArray[np.number], error: FloatArray) -> IntArray:
    """Return which points no other point equals or beats in both objectives.

    Parameters
    ----------
    cost, error : array, shape (N,)
        Both are minimised. Of equal points the first stays.

    Returns
    -------
    array, shape (M,)
        Indices with increasing cost and strictly decreasing error.
    """
    order = np.lexsort((error, cost))  # stable: the first of equal points comes first
    sorted_error = error[order]
    best_before = np.minimum.accumulate(np.concatenate([[np.inf], sorted_error[:-1]]))
    return np.asarray(order[sorted_error < best_before], dtype=np.int64)


def hypervolume(
    cost: NDArray[np.number], error: FloatArray, *, max_cost: float, max_error: float
) -> float:
    """Return the share of the box below a fixed reference point that the points dominate.

    Parameters
    ----------
    cost, error : array, shape (N,)
        Both are minimised and not negative.
    max_cost, max_error : float
        The reference point; points beyond it count nothing.

    Returns
    -------
    float
        From 0 to 1; it never falls while a front improves.
    """
    if max_cost <= 0 or max_error <= 0:
        return 0.0
    inside = np.flatnonzero((cost < max_cost) & (error < max_error))
    front = inside[nondominated(cost[inside], error[inside])]
    widths = np.diff(np.append(cost[front], max_cost))
    return float((widths * (max_error - error[front])).sum() / (max_cost * max_error))
