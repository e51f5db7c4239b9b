"""The Pareto chart: size of the KV cache against weight-sharing error, a front per method."""

from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from qcqa.budget import heads_within_ratio
from qcqa.front import Front
from qcqa.report.comparison import points_at_budget
from qcqa.report.kv_axis import KvAxis
from qcqa.report.kv_chart import draw_budget, kv_layout
from qcqa.report.palette import BOUND_COLOUR, BOUND_FILL, in_order, method_style
from qcqa.search_result import SearchResult

ErrorScale = Literal["relative", "absolute", "gap"]

#: Names of the scales for people, in the order of a switch between them.
ERROR_SCALES: dict[ErrorScale, str] = {
    "relative": "Relative WSE",
    "absolute": "WSE",
    "gap": "Above lower bound",
}

_AXIS_TITLES: dict[ErrorScale, str] = {
    "relative": "relative WSE (lower is better)",
    "absolute": "WSE (lower is better)",
    "gap": "% above the lower bound of its size (lower is better)",
}

#: More corners than this do not show on a screen, but cost time.
_MOST_CORNERS = 500

FloatArray = NDArray[np.float64]


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
    if scale != "gap":
        figure.add_traces(_bound_traces(result, axis, y_of, log=log))
    for method in in_order(result.fronts):
        figure.add_trace(_front_trace(result.fronts[method], result.wse(method), axis, y_of))
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
    if scale != "gap":
        _name_the_bound(figure, result, axis, y_of, log=log)
    if budget is not None:
        _mark_budget(figure, result, axis, y_of, budget)
    return figure


class _ErrorAxis:
    """Turns summed WSE at a cost into what the vertical axis shows."""

    def __init__(self, result: SearchResult, scale: ErrorScale):
        self.name = ERROR_SCALES[scale]
        self._trace = result.grams.trace
        self._bound = result.bound
        self._scale = scale

    @property
    def line_shape(self) -> str:
        """Steps where a front says what fits a budget; plain lines between gaps."""
        return "linear" if self._scale == "gap" else "hv"

    def of(self, cost: Any, error: Any) -> list[float | None]:
        values = np.asarray(error, dtype=np.float64)
        if self._scale == "relative":
            values = values / self._trace
        elif self._scale == "gap":
            values = self._gap(np.asarray(cost), values)
        return [float(v) if np.isfinite(v) else None for v in values]

    def _gap(self, cost: NDArray[np.int64], error: FloatArray) -> FloatArray:
        place = np.searchsorted(self._bound.cost, cost, side="right") - 1
        bound = np.where(place >= 0, self._bound.error[np.maximum(place, 0)], np.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            # Without error there is nothing to be above: the source itself.
            return np.where(error == 0, np.nan, 100 * np.maximum(error / bound - 1, 0))


def _front_trace(front: Front, wse: FloatArray, axis: KvAxis, y_of: _ErrorAxis) -> go.Scatter:
    style = method_style(front.method)
    kept = _corners(len(front))
    cost, error = front.cost[kept], wse[kept]
    return go.Scatter(
        x=axis.of_array(cost),
        y=y_of.of(cost, error),
        name=style.label,
        mode="lines+markers" if len(kept) > 1 else "markers",
        line={
            "color": style.colour,
            "dash": style.dash,
            "width": style.width,
            "shape": y_of.line_shape,
        },
        marker={
            "color": style.colour,
            "symbol": style.symbol,
            "size": 9 if len(kept) < 8 else 7,
            "maxdisplayed": 9,
        },
        hovertemplate=f"<b>{style.label}</b><br>{y_of.name} %{{y:.4~g}}"
        f"<br>KV cache %{{x:.4~g}} {axis.suffix}<extra></extra>",
    )


def _bound_traces(
    result: SearchResult, axis: KvAxis, y_of: _ErrorAxis, *, log: bool
) -> list[go.Scatter]:
    kept = _corners(len(result.bound.cost))
    cost, error = result.bound.cost[kept], result.bound.error[kept]
    return [
        go.Scatter(
            x=axis.of_array(cost),
            y=y_of.of(cost, error),
            name="Lower bound",
            mode="lines",
            line={"color": BOUND_COLOUR, "dash": "dash", "width": 1.6, "shape": "hv"},
            # On a logarithmic axis there is no zero to fill to.
            fill="none" if log else "tozeroy",
            fillcolor=BOUND_FILL,
            hovertemplate=f"<b>Lower bound</b><br>no grouping is below {y_of.name} %{{y:.4~g}}"
            f"<br>KV cache %{{x:.4~g}} {axis.suffix}<extra></extra>",
        )
    ]


def _name_the_bound(
    figure: go.Figure, result: SearchResult, axis: KvAxis, y_of: _ErrorAxis, *, log: bool
) -> None:
    """Write into the area below the bound what it is: no front ever comes there."""
    heads = int(result.bound.cost[0])
    bound = result.bound.at(heads)
    (height,) = y_of.of([heads], [bound]) if bound else (None,)
    if height is None or log:
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
    points = [point for point in within.values() if point is not None]
    styles = [method_style(point.method) for point in points]
    costs = [point.num_cached_heads for point in points]
    figure.add_trace(
        go.Scatter(
            x=axis.of_array(costs) if costs else [],
            y=y_of.of(costs, [point.wse for point in points]),
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
