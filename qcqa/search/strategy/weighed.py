"""Where the plans lie that a search weighed: what its front is the best of."""

import numpy as np
from numpy.typing import NDArray

from qcqa.search.front import Dominated

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Cells of the grid along each axis: as many as can be told apart in a chart. The plans of a search
#: lie in a band above its front, which is about an eighth of them.
_COLUMNS, _ROWS = 48, 24

#: Share of the largest error by which two sums of the same errors may differ.
_ROUNDING = 1e-9


class Weighed:
    """Cost and error of a few of the plans that a search evaluates, spread over all of them.

    Of each cell of a grid over cost and error the first plan stays. So it needs the same memory
    however long a search is, and shows where plans lie rather than where most of them do.

    Parameters
    ----------
    max_cost : int
        Costs are whole numbers from 0 to this.
    max_error : float
        Errors are from 0 to this.
    """

    def __init__(self, max_cost: int, max_error: float):
        self._max_cost = max_cost
        self._max_error = max_error
        self._cost = np.zeros(_COLUMNS * _ROWS, dtype=np.int64)
        self._error = np.full(_COLUMNS * _ROWS, np.nan)

    def add(self, cost: IntArray, error: FloatArray) -> None:
        """Take in a population: cost (P,), error (P,)."""
        column = cost * _COLUMNS // (self._max_cost + 1)
        share = error / self._max_error if self._max_error else error
        row = np.minimum((share * _ROWS).astype(np.int64), _ROWS - 1)
        cells, first = np.unique(column * _ROWS + row, return_index=True)
        is_new = np.isnan(self._error[cells])
        self._cost[cells[is_new]] = cost[first[is_new]]
        self._error[cells[is_new]] = error[first[is_new]]

    def dominated_by(self, cost: IntArray, error: FloatArray) -> Dominated:
        """Return those that others beat.

        Parameters
        ----------
        cost, error : array, shape (N,)
            The best of all plans that were evaluated, by increasing cost.
        """
        kept = np.flatnonzero(~np.isnan(self._error))
        least = np.minimum.accumulate(error)
        best = least[np.searchsorted(cost, self._cost[kept], side="right") - 1]
        kept = kept[self._error[kept] > best + _ROUNDING * self._max_error]
        return Dominated(cost=self._cost[kept], error=self._error[kept])
