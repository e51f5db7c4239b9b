"""How much of the budget each layer gets: an exact multiple-choice knapsack over layers."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qcqa.search.strategy.pareto import nondominated

#: Totals up to which every one is told apart: beyond, memory and time would be those of gigabytes.
MOST_TOTALS = 2**18

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def allocate(
    costs: Sequence[IntArray], errors: Sequence[FloatArray]
) -> tuple[IntArray, FloatArray, IntArray]:
    """Return the least summed error of every total cost, by dynamic programming over layers.

    Exact for the given candidates; those that another of their layer beats take no part. Costs
    ``O(L C T)`` for ``L`` layers, ``C`` candidates and ``T`` total costs, counted in units of the
    greatest common divisor of all costs. Where that gives more than :data:`MOST_TOTALS`, each cost
    is rounded up to a coarser unit, which loses less than a unit for each layer.

    Parameters
    ----------
    costs : sequence of L arrays, shape (C_l,)
        Whole numbers, at least 1.
    errors : sequence of L arrays, shape (C_l,)
        Summed over layers.

    Returns
    -------
    cost : array, shape (T,)
        The totals that can be reached, increasing in the unit.
    error : array, shape (T,)
        The least error at that total.
    choices : array, shape (T, L)
        A candidate of each layer that gives it.
    """
    options = [nondominated(cost, error) for cost, error in zip(costs, errors, strict=True)]
    picked = [cost[option] for cost, option in zip(costs, options, strict=True)]
    unit = int(np.gcd.reduce(np.concatenate(picked)))
    while sum(int(cost[-1]) for cost in picked) // unit > MOST_TOTALS:
        unit *= 2
    weights = [-(-cost // unit) for cost in picked]
    size = sum(int(weight[-1]) for weight in weights) + 1

    best = np.full(size, np.inf)
    best[0] = 0.0
    chosen = np.zeros((len(options), size), dtype=np.int32)  # (L, T): which option got there
    for layer, (option, weight) in enumerate(zip(options, weights, strict=True)):
        after = np.full(size, np.inf)
        for index, (shift, error) in enumerate(zip(weight, errors[layer][option], strict=True)):
            reached = best[: size - shift] + error
            better = np.flatnonzero(reached < after[shift:])
            after[better + shift] = reached[better]
            chosen[layer, better + shift] = index
        best = after

    totals = np.flatnonzero(np.isfinite(best))
    choices = np.empty((len(totals), len(options)), dtype=np.int64)
    remaining = totals.copy()
    for layer in reversed(range(len(options))):
        index = chosen[layer, remaining]
        choices[:, layer] = options[layer][index]
        remaining -= weights[layer][index]
    total = sum(cost[choices[:, layer]] for layer, cost in enumerate(costs))
    return np.asarray(total), best[totals], choices
