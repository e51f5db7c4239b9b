"""Figures of plans that nobody measured, estimated from measured plans on both sides."""

from collections.abc import Mapping, Sequence

import numpy as np


def estimates(
    measured: Mapping[int, float], costs: Sequence[int], *, log: bool = False
) -> dict[int, float]:
    """Return estimates at the costs that lie between measured ones; nothing is extrapolated.

    An estimate lies on the straight line between its two measured neighbours, so it never leaves
    the range of their figures.

    Parameters
    ----------
    measured : mapping from int to float
        Figure of each measured plan, by its bits per token.
    costs : sequence of int
        Cached heads of the plans to estimate; those that were measured are left out.
    log : bool
        Whether to interpolate the figure's logarithm, for figures over several decades.
    """
    sizes = np.array(sorted(measured), dtype=np.float64)
    if len(sizes) < 2:
        return {}
    wanted = [cost for cost in costs if sizes[0] < cost < sizes[-1] and cost not in measured]
    values = np.array([measured[int(size)] for size in sizes])
    found = np.interp(wanted, sizes, np.log(values) if log else values)
    return dict(zip(wanted, (np.exp(found) if log else found).tolist(), strict=True))


def spaced(costs: Sequence[int], count: int) -> list[int]:
    """Return at most ``count`` of the costs, evenly spread over their range."""
    if len(costs) <= count:
        return list(costs)
    there = np.asarray(sorted(costs))
    aims = np.linspace(there[0], there[-1], count)
    nearest = np.abs(there[:, None] - aims[None, :]).argmin(axis=0)
    return [int(there[place]) for place in np.unique(nearest)]
