"""The parts of an accuracy front: measured plans, estimated ones, and the lines across."""

from collections.abc import Mapping, Sequence
from math import isfinite, log10
from typing import Any

import plotly.graph_objects as go

from qcqa.charts.common.estimate import estimates, spaced
from qcqa.charts.common.kv_axis import KvAxis
from qcqa.charts.common.kv_chart import NOT_FADED
from qcqa.charts.common.palette import NEUTRAL_COLOUR, source_text
from qcqa.charts.fronts.plan_hover import kept_line, size_and_error_lines
from qcqa.charts.quality.series import Series, bar_of, change_of, change_text, value_text
from qcqa.measure.comparable import PlanId
from qcqa.measure.evaluation import Evaluation
from qcqa.plan.metric import chance_of, metric_of
from qcqa.plan.plan import Measurement
from qcqa.search.front import Front

#: Of shares at least so much is shown: ticks are whole percents.
_SMALLEST_SPAN = 0.1

#: Of the span of the figures, where the source's line has its name; a budget's is at the top.
_ROOM_FOR_NAME = 0.16
#: Between the source's line and its name, in pixels.
_LABEL_GAP = 5

#: Hollow markers per method: more would hide the measured ones.
_MOST_ESTIMATES = 12


class AccuracyChart:
    """One metric on its axes.

    Parameters
    ----------
    metric : str
        Name of the metric.
    axis : KvAxis
        Unit of the cache's size.
    source : Evaluation or None
        The source's row, if it was measured.
    log : bool
        Whether the vertical axis is logarithmic.
    fronts : mapping from str to Front
        Fronts of the methods, for what a plan's layers keep.
    """

    def __init__(
        self,
        metric: str,
        axis: KvAxis,
        source: Evaluation | None,
        log: bool,
        fronts: Mapping[str, Front],
    ):
        self.log = log
        #: Where plans are, by method and bits per token.
        self.places: dict[PlanId | None, tuple[float, float]] = {}
        self._fronts = fronts
        self._metric = metric
        self._axis = axis
        self._source = source
        self._is_share = metric_of(metric).is_share
        #: Plans lie above the source's line then, and its name below.
        self._is_less_better = metric_of(metric).higher_is_better is False

    def measured(self, series: Series, end: Evaluation | None) -> go.Scatter:
        """Return the measured plans, in steps: up to the next one's size there is no other plan.

        A front that ends at the source goes on to it.
        """
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
            texts.append(f"<b>{source_text(self._axis.spec)}</b>")
            sizes.append(0)
        style = series.style
        plans = [(row.method, row.kv_bits) for row in rows]
        x = self._axis.of_array([row.bits_measured for row in rows])
        y = [figure.value for figure in figures]
        self.places |= dict(zip(plans, zip(x, y, strict=True), strict=True))
        return go.Scatter(
            x=x,
            y=y,
            name=style.label,
            legendgroup=style.label,
            mode="lines+markers" if len(rows) > 1 else "markers",
            line={
                "color": style.colour,
                "dash": style.dash,
                "width": style.width,
                "shape": "hv",
            },
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

    def estimated(self, series: Series, end: Evaluation | None, front: Front) -> go.Scatter:
        """Return the plans between measured ones."""
        known = {row.kv_bits: self._figure(row).value for row in series.rows}
        if end is not None:
            known.setdefault(end.kv_bits, self._figure(end).value)
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
        name = f"{source_text(self._axis.spec)}: {value_text(self._metric, value)}"
        figure.add_hline(y=value, line={"width": 1.4, "dash": "dot", "color": NEUTRAL_COLOUR})
        side = "top" if self._is_less_better else "bottom"
        # Beyond the markers of plans that are as good as the source.
        away = -_LABEL_GAP if self._is_less_better else _LABEL_GAP
        self._name_line(figure, value, name, x=0, xanchor="left", yanchor=side, yshift=away)

    def draw_chance(self, figure: go.Figure) -> None:
        """Draw a line across at what guessing gets, where that is known."""
        chance = chance_of(self._metric)
        if chance is None:
            return
        figure.add_hline(y=chance, line={"width": 1.2, "dash": "dash", "color": NEUTRAL_COLOUR})
        name = f"chance: {value_text(self._metric, chance)}"
        self._name_line(figure, chance, name, x=1, xanchor="right", yanchor="top")

    def _name_line(self, figure: go.Figure, value: float, text: str, **place: Any) -> None:
        # Annotations count in powers of ten where the axis is logarithmic.
        y = log10(value) if self.log else value
        figure.add_annotation(text=text, y=y, xref="x domain", showarrow=False, **place)

    def range(self, rows: Sequence[Evaluation], others: Sequence[float]) -> list[float] | None:
        """Return the range of the vertical axis, with room for the names of its lines."""
        ends = list(others)
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
        has_name_below = self._is_less_better and self._source is not None
        bottom = low - (_ROOM_FOR_NAME if has_name_below else 0.08) * room
        return [max(0.0, bottom) if self._is_share else bottom, high + _ROOM_FOR_NAME * room]

    def _figure(self, row: Evaluation) -> Measurement:
        figure = row.figure(self._metric)
        if figure is None:
            raise ValueError(f"{row.method} has no {self._metric}")
        return figure

    def _bar(self, figure: Measurement) -> tuple[float, float]:
        """Return how far a bar reaches up and down; shares stay between 0 and 1."""
        half = bar_of(figure)
        if not isfinite(half):
            half = 0.0
        if self._is_share:
            return min(half, max(0.0, 1 - figure.value)), min(half, max(0.0, figure.value))
        # A logarithmic axis cannot show what reaches zero.
        return half, min(half, 0.9 * figure.value) if self.log else half

    def _text(self, row: Evaluation, series: Series) -> str:
        figure = self._figure(row)
        name = f"<b>{series.style.label}</b>" + (", the source" if row.is_source else "")
        value = value_text(self._metric, figure.value)
        if figure.standard_error:
            value += f" \N{PLUS-MINUS SIGN} {value_text(self._metric, figure.standard_error)}"
        front = self._fronts.get(row.method)
        lines = [name, value, *size_and_error_lines(row, front, self._axis)]
        change = change_of(row, self._metric, self._source)
        if change is not None and isfinite(change.value):
            lines.insert(2, f"{change_text(self._metric, change.value)} from the source")
        return "<br>".join(lines) + kept_line(front, row.kv_bits)


def _marker_size(series: Series) -> int:
    """Return a size in pixels: a broad line has another one on it, and so have its markers."""
    return 13 if series.style.width > 4 else 9
