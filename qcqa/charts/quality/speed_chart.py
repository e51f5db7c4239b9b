"""Charts of the speed and memory of generation: a bar for every model."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import plotly.graph_objects as go

from qcqa.charts.common.kv_axis import significant
from qcqa.charts.common.palette import NEUTRAL_COLOUR, method_style
from qcqa.charts.quality.series import bar_of
from qcqa.charts.quality.speed import SpeedConditions, speed_rows
from qcqa.measure.evaluation import Evaluation
from qcqa.plan.plan import Measurement

#: Pixels of a model's bar, and of what is above and below all bars.
_BAR_HEIGHT, _FRAME_HEIGHT = 30, 96


@dataclass(frozen=True, slots=True)
class Quantity:
    """One chart: a figure of every model.

    Parameters
    ----------
    metric : str
        As in :data:`qcqa.plan.metric.METRICS`.
    title : str
        With its unit.
    scale : float
        From the measurement's unit to that of the title.
    seconds : str or None
        Metric of the time behind a ratio, for whoever points at a bar.
    """

    metric: str
    title: str
    scale: float = 1.0
    seconds: str | None = None


#: What is charted, in this order. Speeds are ratios: source and plan take turns in every round, so
#: that a disturbed machine treats both alike; the times of models that were measured one after
#: another it does not.
QUANTITIES: Mapping[str, Quantity] = {
    entry.metric: entry
    for entry in (
        Quantity(
            "decode_speedup",
            "Speed of generation over the source's",
            seconds="seconds_per_token",
        ),
        Quantity(
            "prefill_speedup", "Speed of the prompt over the source's", seconds="prefill_seconds"
        ),
        Quantity("cache_bytes", "KV cache after the prompt, MiB", scale=2**-20),
    )
}


def speed_figure(
    rows: Iterable[Evaluation], conditions: SpeedConditions, quantity: Quantity
) -> go.Figure:
    """Return a bar for every model, the source on top and as a line across all.

    Parameters
    ----------
    rows : iterable of Evaluation
        Of one source model.
    conditions : SpeedConditions
        Which rows are drawn.
    quantity : Quantity
        What is drawn; ratios of speed with bars of 1.96 standard errors of the median.
    """
    drawn = [
        _Bar(row, conditions, quantity, figure)
        for row in speed_rows(rows, conditions)
        if (figure := _charted(row, conditions, quantity)) is not None
    ]
    labels = [bar.label for bar in drawn]
    chart = go.Figure()
    chart.add_trace(
        go.Bar(
            x=[bar.value for bar in drawn],
            y=labels,
            orientation="h",
            marker={"color": [method_style(bar.row.method).colour for bar in drawn]},
            error_x={
                "type": "data",
                "array": [bar.error for bar in drawn],
                "thickness": 1.4,
                "width": 4,
                "visible": any(bar.error for bar in drawn),
            },
            hovertext=[bar.text for bar in drawn],
            hovertemplate="%{hovertext}<extra></extra>",
        )
    )
    chart.add_trace(
        go.Scatter(
            x=[bar.value + bar.error for bar in drawn],
            y=labels,
            mode="text",
            text=[f"\N{NO-BREAK SPACE}\N{NO-BREAK SPACE}{significant(bar.value)}" for bar in drawn],
            textposition="middle right",
            hoverinfo="skip",
        )
    )
    for bar in drawn:
        if bar.row.is_source:
            chart.add_vline(
                x=bar.value, line={"width": 1.4, "dash": "dot", "color": NEUTRAL_COLOUR}
            )
    reach = max((bar.value + bar.error for bar in drawn), default=1.0)
    chart.update_layout(
        title={"text": quantity.title, "font": {"size": 14}, "x": 0},
        height=_FRAME_HEIGHT + _BAR_HEIGHT * len(drawn),
        margin={"l": 8, "r": 8, "t": 40, "b": 8},
        showlegend=False,
        xaxis={"range": [0, 1.25 * reach], "fixedrange": True, "automargin": True},
        yaxis={"autorange": "reversed", "fixedrange": True, "automargin": True},
        bargap=0.35,
    )
    return chart


class _Bar:
    """One model's bar, in the unit of the chart."""

    def __init__(
        self,
        row: Evaluation,
        conditions: SpeedConditions,
        quantity: Quantity,
        figure: Measurement,
    ):
        self.row = row
        self.value = quantity.scale * figure.value
        self.error = quantity.scale * bar_of(figure)
        self._time = conditions.figure(row, quantity.seconds) if quantity.seconds else None

    @property
    def label(self) -> str:
        name = method_style(self.row.method).label
        return name if self.row.is_source else f"{name}, {100 * self.row.kv_ratio:.3g} %"

    @property
    def text(self) -> str:
        lines = [f"<b>{self.label}</b>", _with_error(self.value, self.error)]
        if self._time is not None:
            lines.append(f"{_with_error(1e3 * self._time.value, 1e3 * bar_of(self._time))} ms")
        return "<br>".join(lines)


def _charted(
    row: Evaluation, conditions: SpeedConditions, quantity: Quantity
) -> Measurement | None:
    if row.is_source and quantity.seconds and conditions.figure(row, quantity.seconds):
        return Measurement(quantity.metric, 1.0)
    return conditions.figure(row, quantity.metric)


def _with_error(value: float, error: float) -> str:
    return significant(value) + (f" \N{PLUS-MINUS SIGN} {significant(error)}" if error else "")
