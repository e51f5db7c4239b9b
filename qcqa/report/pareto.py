"""The Pareto chart: size of the KV cache against what a search predicts, a front per method."""

from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from qcqa.budget import heads_within_ratio
from qcqa.front import Front, LowerBound
from qcqa.report.comparison import points_at_budget
from qcqa.report.kv_axis import KvAxis
from qcqa.report.kv_chart import draw_budget, kv_layout
from qcqa.report.palette import BOUND_COLOUR, BOUND_FILL, in_order, method_style
from qcqa.search_result import SearchResult
from qcqa.terms import Fitness

#: WSE in one of three ways, or another fitness by which methods of the run searched.
ErrorScale = Literal["relative", "absolute", "gap", "output-error", "loss"]

#: Names of the scales for people, in the order of a switch between them.
ERROR_SCALES: dict[ErrorScale, str] = {
    "relative": "Relative WSE",
    "absolute": "WSE",
    "gap": "Above lower bound",
    "output-error": "Relative output error",
    "loss": "Rise of the loss",
}

_AXIS_TITLES: dict[ErrorScale, str] = {
    "relative": "relative WSE (lower is better)",
    "absolute": "WSE (lower is better)",
    "gap": "% above the lower bound of its size (lower is better)",
    "output-error": "relative output error (lower is better)",
    "loss": "measured rise of the loss, nats per token (lower is better)",
}

_AIMS: dict[Fitness, str] = {
    "output-error": "the error of the attention's output",
    "loss": "measured loss",
}

#: More corners than this do not show on a screen, but cost time.
_MOST_CORNERS = 500

FloatArray = NDArray[np.float64]


def scales_of(result: SearchResult) -> dict[ErrorScale, str]:
    """Return the scales that a result has fronts for, with their names."""
    searched = {front.fitness for front in result.fronts.values()}
    return {
        scale: name
        for scale, name in ERROR_SCALES.items()
        if scale not in ("output-error", "loss") or scale in searched
    }


def pareto_figure(
    result: SearchResult,
    axis: KvAxis,
    *,
    budget: float | None = None,
    scale: ErrorScale = "relative",
    log: bool = False,
    height: int = 440,
) -> go.Figure:
    """Return the fronts of all methods over the lower bound.

    Methods that the scale says nothing of are left out: another fitness is known of those that
    searched by it, and a distance from the bound of those for which it holds.

    Parameters
    ----------
    result : SearchResult
        Fronts of the methods, and the lower bound.
    axis : KvAxis
        Unit of the cache's size.
    budget : float, optional
        KV ratio; drawn as a line, with the best plan of every method within it.
    scale : ErrorScale
        What the vertical axis shows.
    log : bool
        Whether the vertical axis is logarithmic; plans without error are left out then.
    height : int
        In pixels.
    """
    y_of = _ErrorAxis(result, scale)
    figure = go.Figure()
    if y_of.bound is not None:
        figure.add_trace(_bound_trace(y_of.bound, axis, y_of, log=log))
    for method in in_order(result.fronts):
        if y_of.shows(result.fronts[method]):
            figure.add_trace(_front_trace(result.fronts[method], axis, y_of))
    figure.update_layout(
        kv_layout(axis, height),
        yaxis={
            "title": {"text": _AXIS_TITLES[scale]},
            "type": "log" if log else "linear",
            "rangemode": "tozero",
            "zeroline": False,
            "automargin": True,
            "exponentformat": "power",
        },
        # The same revision keeps zoom and hidden methods when only the budget moves.
        uirevision=f"{axis.unit}-{scale}-{log}",
    )
    if y_of.bound is not None and not log:
        _name_the_bound(figure, y_of.bound, axis, y_of)
    if budget is not None:
        _mark_budget(figure, result, axis, y_of, budget)
    return figure


def pareto_caption(result: SearchResult, scale: ErrorScale) -> str:
    """Say how to read the chart of :func:`pareto_figure`, as Markdown.

    Parameters
    ----------
    result : SearchResult
        What is drawn.
    scale : ErrorScale
        What the vertical axis shows.
    """
    step = "Every step is a plan; down and to the left is better"
    if scale == "loss":
        return (
            f"{step}. **Rise of the loss**: measured on the calibration text with one layer merged "
            "at a time, and summed over the layers. It ranks plans; measure a whole plan before "
            "you serve it."
        )
    if scale == "output-error":
        return (
            f"{step}. **Output error**: how far merging moves the attention's output on the "
            "calibration text, relative to its squared norm. It only stands in for quality: "
            "measure a plan before you serve it."
        )
    any_grouping = "no grouping" if result.bound.apart else "no grouping of K and V alike"
    others = (front for front in result.fronts.values() if front.fitness != "wse")
    aims = "".join(
        f" **{method_style(front.method).label} is chosen by {_AIMS[front.fitness]}, not by WSE.**"
        for front in others
    )
    reaches = "is below zero" if scale == "gap" else "reaches the grey area under the dashed line"
    return (
        f"{step}, and {any_grouping} {reaches}. **WSE** is the weight-sharing error: how "
        "far merging moves the K and V weights, relative to their squared norm. It needs "
        f"no data and only stands in for quality: measure a plan before you serve it.{aims}"
    )


class _ErrorAxis:
    """Turns errors at a cost into what the vertical axis shows."""

    def __init__(self, result: SearchResult, scale: ErrorScale):
        self.name = ERROR_SCALES[scale]
        self._result = result
        self._scale = scale

    @property
    def line_shape(self) -> str:
        """Steps where a front says what fits a budget; plain lines between gaps."""
        return "linear" if self._scale == "gap" else "hv"

    @property
    def bound(self) -> LowerBound | None:
        """The lower bound on what the axis shows, where there is one."""
        if self._scale in ("relative", "absolute"):
            return self._result.bound
        other = self._result.error_bound
        return other if other is not None and other.fitness == self._scale else None

    def shows(self, front: Front) -> bool:
        """Return whether the axis says anything of a front."""
        if self._scale == "gap":
            return self._result.bound.holds_for(front)
        return not self._is_fitness or front.fitness == self._scale

    def is_aim_of(self, front: Front) -> bool:
        """Return whether a front was searched for what the axis shows."""
        return front.fitness == (self._scale if self._is_fitness else "wse")

    def of_front(self, front: Front, kept: Any) -> list[float | None]:
        """Return some plans' places on the axis, by their places in the front."""
        error = front.error if self._is_fitness else self._result.wse(front.method)
        return self.of(front.cost[kept], error[kept])

    def of(self, cost: Any, error: Any) -> list[float | None]:
        values = np.asarray(error, dtype=np.float64)
        if self._scale == "relative":
            values = values / self._result.grams.trace
        elif self._scale == "output-error":
            values = values / self._total
        elif self._scale == "gap":
            values = self._gap(np.asarray(cost), values)
        return [float(v) if np.isfinite(v) else None for v in values]

    @property
    def _is_fitness(self) -> bool:
        return self._scale in ("output-error", "loss")

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


def _front_trace(front: Front, axis: KvAxis, y_of: _ErrorAxis) -> go.Scatter:
    style = method_style(front.method)
    kept = _corners(len(front))
    # Who aimed at something else stays in the background, in whatever colour.
    is_aim = y_of.is_aim_of(front)
    return go.Scatter(
        x=axis.of_array(front.cost[kept]),
        y=y_of.of_front(front, kept),
        name=style.label,
        mode="lines+markers" if len(kept) > 1 else "markers",
        opacity=1 if is_aim else 0.6,
        line={
            "color": style.colour,
            "dash": style.dash,
            "width": style.width if is_aim else 1,
            "shape": y_of.line_shape,
        },
        marker={
            "color": style.colour,
            "symbol": style.symbol,
            "size": 9 if len(kept) < 8 else 7 if is_aim else 5,
            "maxdisplayed": 9,
        },
        hovertemplate=f"<b>{style.label}</b><br>{y_of.name} %{{y:.4~g}}"
        f"<br>KV cache %{{x:.4~g}} {axis.suffix}<extra></extra>",
    )


def _bound_trace(bound: LowerBound, axis: KvAxis, y_of: _ErrorAxis, *, log: bool) -> go.Scatter:
    kept = _corners(len(bound.cost))
    return go.Scatter(
        x=axis.of_array(bound.cost[kept]),
        y=y_of.of(bound.cost[kept], bound.error[kept]),
        name="Lower bound",
        mode="lines",
        line={"color": BOUND_COLOUR, "dash": "dash", "width": 1.6, "shape": "hv"},
        # On a logarithmic axis there is no zero to fill to.
        fill="none" if log else "tozeroy",
        fillcolor=BOUND_FILL,
        hovertemplate=f"<b>Lower bound</b><br>no grouping is below {y_of.name} %{{y:.4~g}}"
        f"<br>KV cache %{{x:.4~g}} {axis.suffix}<extra></extra>",
    )


def _name_the_bound(figure: go.Figure, bound: LowerBound, axis: KvAxis, y_of: _ErrorAxis) -> None:
    """Write into the area below the bound what it is: no front ever comes there."""
    heads, error = int(bound.cost[0]), float(bound.error[0])
    (height,) = y_of.of([heads], [error])
    if not height:
        return
    figure.add_annotation(
        x=axis.of(heads),
        y=0.2 * height,
        text=" out of reach<br> of any grouping",
        xanchor="left",
        align="left",
        showarrow=False,
        opacity=0.75,
    )


def _mark_budget(
    figure: go.Figure,
    result: SearchResult,
    axis: KvAxis,
    y_of: _ErrorAxis,
    budget: float,
) -> None:
    """Draw the budget and the best plan of each method within it."""
    within = points_at_budget(result, heads_within_ratio(result.spec, budget))
    points = [
        point
        for method, point in within.items()
        if point is not None and y_of.shows(result.fronts[method])
    ]
    heights = [
        height
        for point in points
        for height in y_of.of_front(result.fronts[point.method], [point.index])
    ]
    styles = [method_style(point.method) for point in points]
    costs = [point.num_cached_heads for point in points]
    figure.add_trace(
        go.Scatter(
            x=axis.of_array(costs) if costs else [],
            y=heights,
            mode="markers",
            showlegend=False,
            name="within the budget",
            marker={
                "color": [style.colour for style in styles],
                "symbol": [style.symbol for style in styles],
                "size": 14,
                "line": {"color": "white", "width": 1.5},
            },
            text=[style.label for style in styles],
            hovertemplate=f"<b>%{{text}}</b>, best within the budget<br>{y_of.name} %{{y:.4~g}}"
            f"<br>KV cache %{{x:.4~g}} {axis.suffix}<extra></extra>",
        )
    )
    draw_budget(figure, axis, budget)


def _corners(count: int) -> NDArray[np.int64]:
    """Return which of a front's plans to draw: all of them, or evenly some."""
    if count <= _MOST_CORNERS:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, _MOST_CORNERS).round().astype(np.int64))
