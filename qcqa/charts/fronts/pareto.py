"""The Pareto chart: size of the KV cache against what a search predicts, a front per method."""

from collections.abc import Iterable
from math import log10

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from qcqa.charts.common.kv_axis import KvAxis
from qcqa.charts.common.kv_chart import NOT_FADED, draw_budget, kv_layout, selection_ring
from qcqa.charts.common.palette import BOUND_COLOUR, BOUND_FILL, in_order, method_style
from qcqa.charts.fronts.comparison import points_at_budget
from qcqa.charts.fronts.error_axis import ErrorAxis, ErrorScale
from qcqa.charts.fronts.overlay import OtherRun, predicted_obstacle, predicted_traces
from qcqa.charts.fronts.plan_hover import PlanHover
from qcqa.measure.comparable import PlanId
from qcqa.measure.evaluation import Evaluation
from qcqa.plan.budget import bits_within_ratio
from qcqa.search.front import Front, LowerBound
from qcqa.search.result import SearchResult

#: More corners than this do not show on a screen, but cost time.
_MOST_CORNERS = 400


def pareto_figure(
    result: SearchResult,
    axis: KvAxis,
    *,
    budget: float | None = None,
    scale: ErrorScale = "relative",
    log: bool = False,
    selected: PlanId | None = None,
    rows: Iterable[Evaluation] = (),
    others: Iterable[OtherRun] = (),
    height: int = 440,
) -> go.Figure:
    """Return the fronts of all methods over the lower bound.

    Methods that the scale says nothing of are left out: another fitness is known of those that
    searched by it, and a distance from the bound of those for which it holds. Every point of a
    front carries its plan's method and bits per token, the first two of its ``customdata``.

    Parameters
    ----------
    result : SearchResult
        Fronts of the methods, and the lower bound, at the axis' load.
    axis : KvAxis
        Unit of the cache's size.
    budget : float, optional
        KV ratio; drawn as a line, with the best plan of every method within it.
    scale : ErrorScale
        What the vertical axis shows.
    log : bool
        Whether the vertical axis is logarithmic; plans without error lie on its lower edge then.
    selected : tuple of str and int, optional
        Method and bits per token of the plan to mark.
    rows : iterable of Evaluation
        What was measured, for the text at the pointer.
    others : iterable of OtherRun
        Runs to lay over, of each the selected method or else its best; those that are not of a
        comparable kind are left out, see :func:`~qcqa.charts.fronts.overlay.predicted_obstacle`.
    height : int
        In pixels.
    """
    y_of = ErrorAxis(result, scale, log=log)
    chart = _Chart(result, axis, y_of, tuple(rows))
    figure = go.Figure()
    if y_of.bound is not None:
        figure.add_trace(_bound_trace(y_of.bound, axis, y_of))
    for name in in_order(result.fronts):
        if y_of.shows(result.fronts[name]):
            figure.add_trace(chart.front(result.fronts[name]))
    comparable = [run for run in others if predicted_obstacle(run, result, axis, scale) is None]
    method = selected[0] if selected else None
    figure.add_traces(predicted_traces(comparable, axis, y_of, method))
    figure.update_layout(
        kv_layout(axis, height),
        yaxis={
            "title": {"text": y_of.title},
            "type": "log" if log else "linear",
            "rangemode": "tozero",
            "zeroline": False,
            "automargin": True,
            "exponentformat": "power",
        },
    )
    if y_of.bound is not None and not log:
        _name_the_bound(figure, y_of.bound, axis, y_of)
    if log:
        _name_the_edge(figure, y_of)
    if budget is not None:
        figure.add_trace(chart.within(budget))
        draw_budget(figure, axis, budget)
    if selected is not None and (place := chart.place(selected)) is not None:
        figure.add_trace(selection_ring(*place))
    return figure


class _Chart:
    """The plans of a result on its axes."""

    def __init__(
        self,
        result: SearchResult,
        axis: KvAxis,
        y_of: ErrorAxis,
        rows: tuple[Evaluation, ...],
    ):
        self._result = result
        self._axis = axis
        self._y_of = y_of
        self._hover = PlanHover(result, axis, rows)
        self._measured = {(row.method, row.kv_bits) for row in rows}

    def front(self, front: Front) -> go.Scatter:
        """Return a front, from corner to corner."""
        style = method_style(front.method, self._result.spec)
        kept = self._corners(front)
        values = self._y_of.of_front(front, kept)
        # Who aimed at something else stays in the background, in whatever colour.
        is_aim = self._y_of.is_aim_of(front)
        return go.Scatter(
            x=np.array(self._axis.of_array(front.size[kept])),
            y=self._y_of.heights(values),
            name=style.label,
            mode="lines+markers" if len(kept) > 1 else "markers",
            opacity=1 if is_aim else 0.8,
            line={
                "color": style.colour,
                "dash": style.dash,
                "width": style.width if is_aim else 1,
                "shape": self._y_of.line_shape,
            },
            marker={
                "color": style.colour,
                "symbol": style.symbol,
                "size": 9 if len(kept) < 8 else 7 if is_aim else 5,
                "maxdisplayed": 9,
            },
            unselected=NOT_FADED,
            customdata=self._hover.rows(front, kept, values),
            hovertemplate=self._hover.template(style.label, self._y_of.name),
        )

    def within(self, budget: float) -> go.Scatter:
        """Return the best plan of each method within a budget, a KV ratio."""
        found = points_at_budget(self._result, bits_within_ratio(self._result.spec, budget))
        points = [
            point
            for method, point in found.items()
            if point is not None and self._y_of.shows(self._result.fronts[method])
        ]
        places = [[point.index] for point in points]
        fronts = [self._result.fronts[point.method] for point in points]
        values = [
            self._y_of.of_front(front, place) for front, place in zip(fronts, places, strict=True)
        ]
        data = [
            self._hover.rows(front, place, value)
            for front, place, value in zip(fronts, places, values, strict=True)
        ]
        styles = [method_style(point.method, self._result.spec) for point in points]
        return go.Scatter(
            x=self._axis.of_array([point.size for point in points]),
            y=self._y_of.heights(np.concatenate(values)) if values else [],
            mode="markers",
            showlegend=False,
            name="within the budget",
            marker={
                "color": [style.colour for style in styles],
                "symbol": [style.symbol for style in styles],
                "size": 14,
                "line": {"color": "white", "width": 1.5},
            },
            unselected=NOT_FADED,
            customdata=np.concatenate(data) if data else [],
            text=[style.label for style in styles],
            hovertemplate=self._hover.template(
                "%{text}</b>, best within the budget<b>", self._y_of.name
            ),
        )

    def place(self, plan: PlanId) -> tuple[float, float] | None:
        """Return where a plan is, or None where the axis says nothing of it."""
        method, kv_bits = plan
        front = self._result.fronts.get(method)
        if front is None or not self._y_of.shows(front):
            return None
        index = int(np.searchsorted(front.cost, kv_bits, side="right")) - 1
        if index < 0:
            return None
        (y,) = self._y_of.heights(self._y_of.of_front(front, [index]))
        return (self._axis.of(int(front.size[index])), float(y)) if np.isfinite(y) else None

    def _corners(self, front: Front) -> NDArray[np.int64]:
        """Return which of a front's plans to draw: all, or evenly some and what was measured.

        None that another beats at this load.
        """
        unbeaten = front.unbeaten
        kept = unbeaten[_corners(len(unbeaten))]
        measured = [kv_bits for method, kv_bits in self._measured if method == front.method]
        if not measured:
            return kept
        return np.union1d(kept, unbeaten[np.isin(front.cost[unbeaten], measured)])


def _bound_trace(bound: LowerBound, axis: KvAxis, y_of: ErrorAxis) -> go.Scatter:
    kept = _corners(len(bound.cost))
    return go.Scatter(
        x=np.array(axis.of_array(bound.cost[kept])),
        y=y_of.heights(y_of.of(bound.cost[kept], bound.error[kept])),
        name="Lower bound",
        mode="lines",
        line={"color": BOUND_COLOUR, "dash": "dash", "width": 1.6, "shape": "hv"},
        # On a logarithmic axis there is no zero to fill to.
        fill="none" if y_of.log else "tozeroy",
        fillcolor=BOUND_FILL,
        hovertemplate=f"<b>Lower bound</b><br>no grouping is below {y_of.name} %{{y:.4~g}}"
        f"<br>KV cache %{{x:.4~g}} {axis.suffix}<extra></extra>",
    )


def _name_the_bound(figure: go.Figure, bound: LowerBound, axis: KvAxis, y_of: ErrorAxis) -> None:
    """Write into the area below the bound what it is: no front ever comes there."""
    kv_bits, error = int(bound.cost[0]), float(bound.error[0])
    (height,) = y_of.heights(y_of.of([kv_bits], [error]))
    if not height:
        return
    figure.add_annotation(
        x=axis.of(kv_bits),
        y=0.2 * height,
        text=" out of reach where<br> K and V share alike",
        xanchor="left",
        align="left",
        showarrow=False,
        opacity=0.75,
    )


def _name_the_edge(figure: go.Figure, y_of: ErrorAxis) -> None:
    """Write on the lower edge of a logarithmic axis what lies there: zero has no place on it."""
    figure.add_annotation(
        x=0,
        xref="x domain",
        y=log10(y_of.lowest),
        text=" at the bound" if y_of.scale == "gap" else " no error",
        xanchor="left",
        # Plans are on the edge and above.
        yanchor="top",
        yshift=-4,
        showarrow=False,
        opacity=0.75,
    )


def _corners(count: int) -> NDArray[np.int64]:
    """Return which places of a step function to draw: all of them, or evenly some."""
    if count <= _MOST_CORNERS:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, _MOST_CORNERS).round().astype(np.int64))
