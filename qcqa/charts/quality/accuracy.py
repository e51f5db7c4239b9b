"""The accuracy front: measured quality against the size of the KV cache, a line per method."""

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any

import plotly.graph_objects as go

from qcqa.charts.common.kv_axis import KvAxis
from qcqa.charts.common.kv_chart import draw_budget, kv_layout, selection_ring
from qcqa.charts.common.markup import in_chart
from qcqa.charts.common.palette import NEUTRAL_COLOUR
from qcqa.charts.fronts.overlay import OtherRun, measured_obstacle, measured_traces
from qcqa.charts.quality.accuracy_chart import AccuracyChart
from qcqa.charts.quality.measurements import pieces_text, sizes_text
from qcqa.charts.quality.series import direction_text, metric_title, series_of, source_of
from qcqa.measure.comparable import Conditions, PlanId, is_of_text, rows_under
from qcqa.measure.evaluation import Evaluation
from qcqa.plan.metric import metric_of
from qcqa.search.front import Front

#: Figures that span more than this factor are drawn on a logarithmic axis.
_SPAN_OF_LOG = 20

#: Longer titles of the vertical axis take two lines.
_LONGEST_LINE = 32

#: Of the figure, in pixels.
_HEIGHT = 440

_ESTIMATED = "estimated"


def accuracy_figure(
    rows: Iterable[Evaluation],
    metric: str,
    axis: KvAxis,
    *,
    fronts: Mapping[str, Front] | None = None,
    conditions: Conditions | None = None,
    budget: float | None = None,
    log: bool | None = None,
    selected: PlanId | None = None,
    others: Iterable[OtherRun] = (),
) -> go.Figure:
    """Return measured figures against the size of the cache, the source as a line across.

    Measured plans are solid markers with bars of 1.96 standard errors. With ``fronts``, plans
    between measured ones are hollow: estimates, see :func:`~qcqa.charts.common.estimate.estimates`.
    Every point carries its plan's method and bits per token, its ``customdata``.

    Parameters
    ----------
    rows : iterable of Evaluation
        Of one source model.
    metric : str
        Name of the metric to draw.
    axis : KvAxis
        Unit of the cache's size.
    fronts : mapping from str to Front, optional
        Plans whose figures to estimate. A front that ends at the source is joined to it.
    conditions : Conditions, optional
        Which rows to draw, where a metric was measured in several ways; those of the most rows by
        default. Rows of different conditions are never joined.
    budget : float, optional
        KV ratio, drawn as a line.
    log : bool, optional
        Whether the vertical axis is logarithmic; by default where figures span decades. Axes of
        shares and of figures that are not all positive never are.
    selected : tuple of str and int, optional
        Method and bits per token of the plan to mark, if it is in the chart.
    others : iterable of OtherRun
        Runs to lay over, of each the selected method or else its best; those that are not of a
        comparable kind are left out, see :func:`~qcqa.charts.fronts.overlay.measured_obstacle`.
    """
    compared = [row for row in rows_under(rows, metric, conditions) if _is_drawn(row, metric)]
    source = source_of(compared)
    is_log = wants_log(compared, metric) if log is None else log and can_be_log(compared, metric)
    chart = AccuracyChart(metric, axis, source, is_log, fronts or {})
    figure = go.Figure()
    has_estimates = False
    for series in series_of(compared, axis.spec):
        front = None if series.is_source else (fronts or {}).get(series.method)
        # Between plans whose sizes depend on the context nothing is placed.
        front = None if front is not None and front.has_codecs else front
        ends_at_source = front is not None and int(front.cost[-1]) == axis.spec.kv_bits
        end = source if ends_at_source else None
        figure.add_trace(chart.measured(series, end))
        if front is not None:
            between = chart.estimated(series, end, front)
            has_estimates |= len(between.x) > 0
            figure.add_trace(between)
    comparable = [run for run in others if measured_obstacle(run, compared, axis, metric) is None]
    method = selected[0] if selected else None
    overlays = measured_traces(comparable, compared, axis, metric, method)
    figure.add_traces(overlays)
    if has_estimates:
        figure.add_trace(_legend_of_estimates())
    figure.update_layout(
        kv_layout(axis, _HEIGHT),
        yaxis={
            "title": {"text": _axis_title(metric)},
            "type": "log" if chart.log else "linear",
            "dtick": 1 if chart.log else None,
            "range": chart.range(compared, [y for trace in overlays for y in trace.y]),
            "tickformat": ".0%" if metric_of(metric).is_share else None,
            # Above all data there is room for names of lines, but no share.
            "labelalias": {f"{percent}%": " " for percent in range(102, 130)},
            "zeroline": False,
            "automargin": True,
        },
    )
    chart.draw_source(figure)
    chart.draw_chance(figure)
    if budget is not None:
        draw_budget(figure, axis, budget)
    if selected in chart.places:
        figure.add_trace(selection_ring(*chart.places[selected]))
    return figure


def accuracy_caption(
    figure: go.Figure,
    rows: Iterable[Evaluation],
    metric: str,
    *,
    conditions: Conditions | None = None,
) -> str:
    """Return what the reader of a figure must know.

    Parameters
    ----------
    figure : Figure
        As :func:`accuracy_figure` returned it.
    rows, metric, conditions
        As they were given to it.
    """
    compared = rows_under(rows, metric, conditions)
    counts = {f.sample_count for row in compared if (f := row.figure(metric)) and f.sample_count}
    of = "tokens" if is_of_text(metric) else "questions"
    samples = f" over {max(counts):,} {of}" if counts else ""
    text = f"Solid markers are measured{samples}; bars are 1.96 standard errors (95 %)."
    if any(trace.name == _ESTIMATED for trace in figure.data):
        text += " Hollow ones were not measured: plans placed between their measured neighbours."
    if len(compared) > 1:
        text += (
            " All models answer the same samples, so differences are more certain than the bars"
            " suggest: a figure after ± is one standard error."
        )
    return f"{text} {pieces_text(compared)} {sizes_text(compared)}".rstrip()


def _axis_title(metric: str) -> str:
    title, better = in_chart(metric_title(metric)), direction_text(metric)
    if not better:
        return title
    return f"{title}{'<br>' if len(title) > _LONGEST_LINE else ' '}({better})"


def _legend_of_estimates() -> go.Scatter:
    marker: dict[str, Any] = {"color": NEUTRAL_COLOUR, "symbol": "circle-open", "size": 9}
    return go.Scatter(x=[None], y=[None], mode="markers", name=_ESTIMATED, marker=marker)


def _is_drawn(row: Evaluation, metric: str) -> bool:
    figure = row.figure(metric)
    return figure is not None and isfinite(figure.value)


def can_be_log(rows: Iterable[Evaluation], metric: str) -> bool:
    """Return whether a metric's figures make sense on a logarithmic axis."""
    values = [figure.value for row in rows if (figure := row.figure(metric))]
    return not metric_of(metric).is_share and bool(values) and min(values) > 0


def wants_log(rows: Sequence[Evaluation], metric: str) -> bool:
    """Return whether a metric's figures span so much that a linear axis hides most of them."""
    values = [figure.value for row in rows if (figure := row.figure(metric))]
    return can_be_log(rows, metric) and max(values) / min(values) > _SPAN_OF_LOG
