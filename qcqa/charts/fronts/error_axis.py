"""The vertical axis of the Pareto chart: one of several errors that a search predicts."""

from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from qcqa.search.front import Front, LowerBound
from qcqa.search.method_sets import BASELINES
from qcqa.search.result import SearchResult

#: WSE in one of three ways, or another fitness by which methods of the run searched.
ErrorScale = Literal["relative", "absolute", "gap", "output-error", "loss"]

#: Names of the scales for people, in the order of a switch between them.
ERROR_SCALES: dict[ErrorScale, str] = {
    "relative": "Relative WSE",
    "absolute": "WSE",
    "gap": "Above lower bound",
    "output-error": "Relative output error",
    "loss": "Summed rise of the loss",
}

_TITLES: dict[ErrorScale, str] = {
    "relative": "relative WSE (lower is better)",
    "absolute": "WSE (lower is better)",
    "gap": "% above the lower bound of its size (lower is better)",
    "output-error": "relative output error (lower is better)",
    "loss": "rise of the loss, summed over layers, nats per token (lower is better)",
}

#: A logarithmic axis reaches so far down at most: below is rounding.
_MOST_DECADES = 6

FloatArray = NDArray[np.float64]


def scales_of(result: SearchResult) -> dict[ErrorScale, str]:
    """Return the scales that a result has fronts for, with their names."""
    searched = {front.fitness for front in result.fronts.values()}
    return {
        scale: name
        for scale, name in ERROR_SCALES.items()
        if scale not in ("output-error", "loss") or scale in searched
    }


class ErrorAxis:
    """Turns errors at a cost into what the vertical axis shows.

    Parameters
    ----------
    result : SearchResult
        Fronts of the methods, and the lower bound.
    scale : ErrorScale
        What the axis shows.
    log : bool
        Whether it is logarithmic. Plans without error then lie on its lower edge.
    """

    def __init__(self, result: SearchResult, scale: ErrorScale, *, log: bool = False):
        self.name = ERROR_SCALES[scale]
        self.title = _TITLES[scale]
        self.log = log
        self.scale = scale
        self._result = result

    @property
    def line_shape(self) -> str:
        """Steps where a front says what fits a budget; plain lines between gaps."""
        return "linear" if self.scale == "gap" else "hv"

    @property
    def bound(self) -> LowerBound | None:
        """The lower bound on what the axis shows, where there is one."""
        if self.scale in ("relative", "absolute"):
            return self._result.bound
        other = self._result.error_bound
        return other if other is not None and other.fitness == self.scale else None

    def shows(self, front: Front) -> bool:
        """Return whether the axis says anything of a front."""
        if self._is_fitness:
            return front.fitness == self.scale
        if front.has_codecs:  # the weights say nothing of it
            return False
        return self.scale != "gap" or self._result.bound.holds_for(front)

    def is_aim_of(self, front: Front) -> bool:
        """Return whether a front was searched for what the axis shows; baselines, for nothing."""
        return front.method in BASELINES or front.fitness == (
            self.scale if self._is_fitness else "wse"
        )

    def of_front(self, front: Front, kept: Any) -> FloatArray:
        """Return the values of some plans, by their places in the front; NaN where there is none.

        Parameters
        ----------
        front : Front
            Of the result.
        kept : array or list of int, shape (n,)
            Places of plans.
        """
        error = front.error if self._is_fitness else self._result.wse(front.method)
        return self.of(front.cost[kept], error[kept])

    def of(self, cost: Any, error: Any) -> FloatArray:
        """Return the values of errors at costs in bits per token, shape (n,)."""
        values = np.asarray(error, dtype=np.float64)
        if self.scale == "relative":
            return values / self._result.grams.trace
        if self.scale == "output-error":
            return values / self._total
        return self._gap(np.asarray(cost), values) if self.scale == "gap" else values

    def heights(self, values: FloatArray) -> FloatArray:
        """Return where values are drawn, shape (n,).

        Parameters
        ----------
        values : array, shape (n,)
            As :meth:`of` gave them.
        """
        return np.maximum(values, self.lowest) if self.log else values

    @cached_property
    def lowest(self) -> float:
        """Where a logarithmic axis begins: below the smallest error that is not zero."""
        drawn = [front for front in self._result.fronts.values() if self.shows(front)]
        values = np.concatenate([[0.0], *(self.of_front(front, slice(None)) for front in drawn)])
        positive = values[np.isfinite(values) & (values > 0)]
        if not len(positive):
            return 1.0
        return float(max(positive.min() / 2, positive.max() / 10.0**_MOST_DECADES))

    @property
    def _is_fitness(self) -> bool:
        return self.scale in ("output-error", "loss")

    @property
    def _total(self) -> float:
        """The output error that stands for losing all: of the model, so the same in all fronts."""
        totals = [front.total for front in self._result.fronts.values() if self.shows(front)]
        return next((total for total in totals if total), 1.0)

    def _gap(self, cost: NDArray[np.int64], error: FloatArray) -> FloatArray:
        known = self._result.bound
        place = np.searchsorted(known.cost, cost, side="right") - 1
        bound = np.where(place >= 0, known.error[np.maximum(place, 0)], np.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            # Without error there is nothing to be above: the source itself.
            return np.where(error == 0, np.nan, 100 * np.maximum(error / bound - 1, 0))
