"""The accuracy front: measured quality against the size of the KV cache, a line per method."""

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite, log10
from typing import Any

import plotly.graph_objects as go

from qcqa.evaluated import Evaluated
from qcqa.front import Front
from qcqa.metric import chance_of, metric_of
from qcqa.plan import Measurement
from qcqa.report.estimate import estimates, spaced
from qcqa.report.kv_axis import KvAxis
from qcqa.report.kv_chart import NOT_FADED, draw_budget, kv_layout, selection_ring
from qcqa.report.measured import (
    Conditions,
    Series,
    change_of,
    change_text,
    direction_text,
    is_of_text,
    metric_title,
    rows_under,
    series_of,
    source_of,
    value_text,
)
from qcqa.report.palette import method_style
from qcqa.report.plan_hover import PlanId, kept_line, size_and_error_lines

#: Half the width of an error bar, in standard errors: 95 % of a normal distribution.
STANDARD_ERRORS = 1.96

#: Figures that span more than this factor are drawn on a logarithmic axis.
_SPAN_OF_LOG = 20

#: Of shares at least so much is shown: ticks are whole percents.
_SMALLEST_SPAN = 0.1

#: Hollow markers per method: more would hide the measured ones.
_MOST_ESTIMATES = 12

#: Longer titles of the vertical axis take two lines.
_LONGEST_LINE = 32

_GREY = "#7F858D"
_ESTIMATED = "estimated"


def accuracy_figure(
    rows: Iterable[Evaluated],
    metric: str,
    axis: KvAxis,
    *,
    fronts: Mapping[str, Front] | None = None,
    conditions: Conditions | None = None,
    budget: float | None = None,
    log: bool | None = None,
    selected: PlanId | None = None,
    height: int = 440,
) -> go.Figure:
    """Return measured figures against the size of the cache, the source as a line across.

    Measured plans are solid markers with bars of 1.96 standard errors. With ``fronts``, plans
    between measured ones are hollow: estimates, see :func:`~qcqa.report.estimate.estimates`. Every
    point carries its plan's method and cached heads, its ``customdata``.

    Parameters
    ----------
    rows : iterable of Evaluated
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
        Method and cached heads of the plan to mark, if it is in the chart.
    height : int
        In pixels.
    """
    compared = [row for row in rows_under(rows, metric, conditions) if _is_drawn(row, metric)]
    source = source_of(compared)
    is_log = wants_log(compared, metric) if log is None else log and can_be_log(compared, metric)
    chart = _Chart(metric, axis, source, is_log, fronts or {})
    figure = go.Figure()
    has_estimates = False
    for series in series_of(compared):
        front = None if series.is_source else (fronts or {}).get(series.method)
        ends_at_source = front is not None and int(front.cost[-1]) == axis.spec.num_cached_heads
        end = source if ends_at_source else None
        figure.add_trace(chart.measured(series, end))
        if front is not None:
            between = chart.estimated(series, end, front)
            has_estimates |= len(between.x) > 0
            figure.add_trace(between)
    if has_estimates:
        figure.add_trace(_legend_of_estimates())
    figure.update_layout(
        kv_layout(axis, height),
        yaxis={
            "title": {"text": _axis_title(metric)},
            "type": "log" if chart.log else "linear",
            "dtick": 1 if chart.log else None,
            "range": chart.range(compared),
            "tickformat": ".0%" if metric_of(metric).is_share else None,
            # Above all data there is room for names of lines, but no share.
            "labelalias": {f"{percent}%": " " for percent in range(102, 130)},
            "zeroline": False,
            "automargin": True,
        },
        uirevision=f"{axis.unit}-{metric}",
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
    rows: Iterable[Evaluated],
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
        text += " Hollow ones are estimated, on the line between measured plans."
    if len(compared) > 1:
        text += (
            " All models answer the same samples, so differences are surer than the bars look:"
            " the table has their own standard errors."
        )
    return text


class _Chart:
    """One metric on its axes."""

    def __init__(
        self,
        metric: str,
        axis: KvAxis,
        source: Evaluated | None,
        log: bool,
        fronts: Mapping[str, Front],
    ):
        self.log = log
        #: Where plans are, by method and cached heads.
        self.places: dict[PlanId | None, tuple[float, float]] = {}
        self._fronts = fronts
        self._metric = metric
        self._axis = axis
        self._source = source
        self._is_share = metric_of(metric).is_share

    def measured(self, series: Series, end: Evaluated | None) -> go.Scatter:
        """Return the measured plans; a front that ends at the source is joined to it."""
        rows = list(series.rows)
        figures = [self._figure(row) for row in rows]
        bars = [self._bar(figure) for figure in figures]
        texts = [self._text(row, series) for row in rows]
        sizes = [_marker_size(series)] * len(rows)
        if end is not None and rows[-1].kv_ratio < 1:
            rows.append(end)
            figures.append(self._figure(end))
            # The source has a marker of its own.
            bars.append((0.0, 0.0))
            texts.append(f"<b>{method_style(end.method).label}</b>, the source")
            sizes.append(0)
        style = series.style
        plans = [(row.method, row.num_cached_heads) for row in rows]
        x = self._axis.of_array([heads for _, heads in plans])
        y = [figure.value for figure in figures]
        self.places |= dict(zip(plans, zip(x, y, strict=True), strict=True))
        return go.Scatter(
            x=x,
            y=y,
            name=style.label,
            legendgroup=style.label,
            mode="lines+markers" if len(rows) > 1 else "markers",
            line={"color": style.colour, "dash": style.dash, "width": style.width},
            marker={
                "color": style.colour,
                "symbol": style.symbol,
                "size": sizes,
                # Markers of several sizes are translucent by default.
                "opacity": 1,
            },
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [above for above, _ in bars],
                "arrayminus": [below for _, below in bars],
                "thickness": 1.2,
                "width": 4,
            },
            unselected=NOT_FADED,
            customdata=plans,
            text=texts,
            hovertemplate="%{text}<extra></extra>",
        )

    def estimated(self, series: Series, end: Evaluated | None, front: Front) -> go.Scatter:
        """Return the plans between measured ones."""
        known = {row.num_cached_heads: self._figure(row).value for row in series.rows}
        if end is not None:
            known.setdefault(end.num_cached_heads, self._figure(end).value)
        # All that can be estimated, and of those not too many.
        points = estimates(known, front.cost.tolist(), log=self.log)
        self.places |= {
            (series.method, cost): (self._axis.of(cost), value) for cost, value in points.items()
        }
        costs = spaced(list(points), _MOST_ESTIMATES)
        style = series.style
        return go.Scatter(
            x=self._axis.of_array(costs),
            y=[points[cost] for cost in costs],
            unselected=NOT_FADED,
            customdata=[(series.method, cost) for cost in costs],
            mode="markers",
            name=f"{style.label}, estimated",
            legendgroup=style.label,
            showlegend=False,
            marker={
                "color": style.colour,
                "symbol": f"{style.symbol.removesuffix('-dot')}-open",
                "size": _marker_size(series),
                "line": {"width": 1.4},
            },
            text=[
                f"<b>{style.label}</b><br>about {value_text(self._metric, points[cost])}, "
                f"estimated between measured plans<br>KV cache {self._axis.text(cost)}"
                f"{kept_line(front, cost)}"
                for cost in costs
            ],
            hovertemplate="%{text}<extra></extra>",
        )

    def draw_source(self, figure: go.Figure) -> None:
        """Draw a line across at the source's figure, with its name."""
        if self._source is None:
            return
        value = self._figure(self._source).value
        label = method_style(self._source.method).label
        name = f"{label}, the source: {value_text(self._metric, value)}"
        figure.add_hline(y=value, line={"width": 1.4, "dash": "dot", "color": _GREY})
        self._name_line(figure, value, name, x=0, xanchor="left", yanchor="bottom")

    def draw_chance(self, figure: go.Figure) -> None:
        """Draw a line across at what guessing gets, where that is known."""
        chance = chance_of(self._metric)
        if chance is None:
            return
        figure.add_hline(y=chance, line={"width": 1.2, "dash": "dash", "color": _GREY})
        name = f"chance: {value_text(self._metric, chance)}"
        self._name_line(figure, chance, name, x=1, xanchor="right", yanchor="top")

    def _name_line(self, figure: go.Figure, value: float, text: str, **place: Any) -> None:
        # Annotations count in powers of ten where the axis is logarithmic.
        y = log10(value) if self.log else value
        figure.add_annotation(text=text, y=y, xref="x domain", showarrow=False, **place)

    def range(self, rows: Sequence[Evaluated]) -> list[float] | None:
        """Return the range of the vertical axis, with room for the names of its lines."""
        ends: list[float] = []
        for row in rows:
            figure = self._figure(row)
            above, below = self._bar(figure)
            ends += [figure.value - below, figure.value + above]
        if (chance := chance_of(self._metric)) is not None:
            ends.append(chance)
        if not ends:
            return None
        if self.log:
            ends = [log10(end) for end in ends if end > 0]
        low, high = min(ends), max(ends)
        room = (high - low) or abs(high) or 1.0
        if self._is_share and room < _SMALLEST_SPAN:
            middle = (low + high) / 2
            low, high, room = (
                middle - _SMALLEST_SPAN / 2,
                middle + _SMALLEST_SPAN / 2,
                _SMALLEST_SPAN,
            )
        bottom = low - 0.08 * room
        return [max(0.0, bottom) if self._is_share else bottom, high + 0.16 * room]

    def _figure(self, row: Evaluated) -> Measurement:
        figure = row.figure(self._metric)
        if figure is None:
            raise ValueError(f"{row.method} has no {self._metric}")
        return figure

    def _bar(self, figure: Measurement) -> tuple[float, float]:
        """Return how far a bar reaches up and down; shares stay between 0 and 1."""
        half = STANDARD_ERRORS * (figure.standard_error or 0.0)
        if not isfinite(half):
            half = 0.0
        if self._is_share:
            return min(half, max(0.0, 1 - figure.value)), min(half, max(0.0, figure.value))
        # A logarithmic axis cannot show what reaches zero.
        return half, min(half, 0.9 * figure.value) if self.log else half

    def _text(self, row: Evaluated, series: Series) -> str:
        figure = self._figure(row)
        name = f"<b>{series.style.label}</b>" + (", the source" if row.is_source else "")
        value = value_text(self._metric, figure.value)
        if figure.standard_error:
            value += f" \N{PLUS-MINUS SIGN} {value_text(self._metric, figure.standard_error)}"
        lines = [name, value, *size_and_error_lines(row, self._axis)]
        change = change_of(row, self._metric, self._source)
        if change is not None and isfinite(change.value):
            lines.insert(2, f"{change_text(self._metric, change.value)} from the source")
        return "<br>".join(lines) + kept_line(self._fronts.get(row.method), row.num_cached_heads)


def _marker_size(series: Series) -> int:
    """Return a size in pixels: a broad line has another one on it, and so have its markers."""
    return 13 if series.style.width > 4 else 9


def _axis_title(metric: str) -> str:
    title, better = metric_title(metric), direction_text(metric)
    if not better:
        return title
    return f"{title}{'<br>' if len(title) > _LONGEST_LINE else ' '}({better})"


def _legend_of_estimates() -> go.Scatter:
    marker: dict[str, Any] = {"color": _GREY, "symbol": "circle-open", "size": 9}
    return go.Scatter(x=[None], y=[None], mode="markers", name=_ESTIMATED, marker=marker)


def _is_drawn(row: Evaluated, metric: str) -> bool:
    figure = row.figure(metric)
    return figure is not None and isfinite(figure.value)


def can_be_log(rows: Iterable[Evaluated], metric: str) -> bool:
    """Return whether a metric's figures make sense on a logarithmic axis."""
    values = [figure.value for row in rows if (figure := row.figure(metric))]
    return not metric_of(metric).is_share and bool(values) and min(values) > 0


def wants_log(rows: Sequence[Evaluated], metric: str) -> bool:
    """Return whether a metric's figures span so much that a linear axis hides most of them."""
    values = [figure.value for row in rows if (figure := row.figure(metric))]
    return can_be_log(rows, metric) and max(values) / min(values) > _SPAN_OF_LOG
