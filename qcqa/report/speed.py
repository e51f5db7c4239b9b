"""Speed and memory of generation: plans beside their source."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go

from qcqa.evaluated import DecodeLoad, Evaluated, by_size
from qcqa.metric import measurement_name
from qcqa.plan import Measurement
from qcqa.report.accuracy_chart import STANDARD_ERRORS
from qcqa.report.comparison import percent_text
from qcqa.report.kv_axis import significant
from qcqa.report.palette import NEUTRAL_COLOUR, method_style

#: Pixels of a model's bar, and of what is above and below all bars.
_BAR_HEIGHT, _FRAME_HEIGHT = 30, 96


@dataclass(frozen=True, slots=True)
class Quantity:
    """One chart: a figure of every model.

    Parameters
    ----------
    metric : str
        As in :data:`qcqa.metric.METRICS`.
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
    one.metric: one
    for one in (
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


@dataclass(frozen=True, slots=True)
class SpeedConditions:
    """Under what speed was measured: only figures of the same conditions are comparable.

    Parameters
    ----------
    load : DecodeLoad
        Context, batch and new tokens.
    device, dtype : str
        Where, and in which type, the models ran.
    """

    load: DecodeLoad
    device: str
    dtype: str

    @property
    def label(self) -> str:
        """In words, for a switch."""
        load = self.load
        parts = [
            f"context {load.context_tokens:,}",
            f"batch {load.batch_size:,}",
            f"{load.new_tokens:,} new tokens",
            {"cpu": "CPU", "cuda": "GPU"}.get(self.device, self.device),
        ]
        return ", ".join(parts if self.dtype == "auto" else [*parts, self.dtype])


def speed_conditions(rows: Iterable[Evaluated]) -> list[SpeedConditions]:
    """Return under which conditions speed was measured, those of the most rows first."""
    found = Counter(
        SpeedConditions(row.benchmark.speed, row.device, row.dtype)
        for row in rows
        if row.benchmark.speed is not None
    )
    return [conditions for conditions, _ in found.most_common()]


def speed_rows(rows: Iterable[Evaluated], conditions: SpeedConditions) -> list[Evaluated]:
    """Return the rows of some conditions: the source, then from the largest cache down.

    Of rows of the same model, which other benchmarks may have measured again, the last counts.
    """
    own = {
        (row.method, row.plan_digest): row
        for row in rows
        if (row.benchmark.speed, row.device, row.dtype)
        == (conditions.load, conditions.device, conditions.dtype)
    }
    return list(by_size(own.values()))


def speed_figure(
    rows: Iterable[Evaluated], conditions: SpeedConditions, quantity: Quantity
) -> go.Figure:
    """Return a bar for every model, the source on top and as a line across all.

    Parameters
    ----------
    rows : iterable of Evaluated
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
        row: Evaluated,
        conditions: SpeedConditions,
        quantity: Quantity,
        figure: Measurement,
    ):
        self.row = row
        self.value = quantity.scale * figure.value
        self.error = quantity.scale * _reach(figure)
        self._time = _figure(row, conditions, quantity.seconds) if quantity.seconds else None

    @property
    def label(self) -> str:
        name = method_style(self.row.method).label
        return name if self.row.is_source else f"{name}, {100 * self.row.kv_ratio:.3g} %"

    @property
    def text(self) -> str:
        lines = [f"<b>{self.label}</b>", _with_error(self.value, self.error)]
        if self._time is not None:
            lines.append(f"{_with_error(1e3 * self._time.value, 1e3 * _reach(self._time))} ms")
        return "<br>".join(lines)


def _charted(row: Evaluated, conditions: SpeedConditions, quantity: Quantity) -> Measurement | None:
    if row.is_source and quantity.seconds and _figure(row, conditions, quantity.seconds):
        return Measurement(quantity.metric, 1.0)
    return _figure(row, conditions, quantity.metric)


def _with_error(value: float, error: float) -> str:
    return significant(value) + (f" \N{PLUS-MINUS SIGN} {significant(error)}" if error else "")


def speed_table(rows: Iterable[Evaluated], conditions: SpeedConditions) -> pd.DataFrame:
    """Return a row per model: medians over rounds, and for plans their ratios to the source.

    Parameters
    ----------
    rows, conditions
        As :func:`speed_figure` takes them.
    """
    found = []
    for row in speed_rows(rows, conditions):
        cells: dict[str, object] = {
            "method": method_style(row.method).label,
            "KV ratio": row.kv_ratio,
        }
        for title, (metric, scale) in _COLUMNS.items():
            figure = _figure(row, conditions, metric)
            cells[title] = None if figure is None else scale * figure.value
            if metric in _WITH_ERRORS:
                error = None if figure is None else figure.standard_error
                cells[f"{title}, standard error"] = None if error is None else scale * error
        found.append(cells)
    return pd.DataFrame(found).dropna(axis="columns", how="all")


_COLUMNS = {
    "speed of generation": ("decode_speedup", 1.0),
    "ms per token": ("seconds_per_token", 1e3),
    "tokens/s": ("tokens_per_second", 1.0),
    "speed of the prompt": ("prefill_speedup", 1.0),
    "prompt, ms": ("prefill_seconds", 1e3),
    "KV cache, MiB": ("cache_bytes", 2**-20),
    "measured ratio": ("cache_ratio", 1.0),
    "peak beside the weights, MiB": ("peak_bytes", 2**-20),
}
_WITH_ERRORS = ("prefill_seconds", "seconds_per_token", "decode_speedup", "prefill_speedup")


def speed_sentence(rows: Iterable[Evaluated], conditions: SpeedConditions) -> str:
    """Return in one or two sentences what a smaller cache does to speed and memory.

    A plan is faster or slower where the ratio of its speed to the source's, taken in turns, is 1.96
    standard errors away from 1.
    """
    plans = [row for row in speed_rows(rows, conditions) if not row.is_source]
    found = [_figure(row, conditions, "decode_speedup") for row in plans]
    speedups = [figure for figure in found if figure is not None]
    if not speedups:
        return ""
    faster = [one for one in speedups if one.value - _reach(one) > 1]
    slower = [one for one in speedups if one.value + _reach(one) < 1]
    parts = []
    if faster:
        best = max(one.value for one in faster)
        parts.append(f"{_count(faster, speedups)} faster than the source, by up to {_by(best)}")
    if slower:
        worst = min(one.value for one in slower)
        parts.append(f"{_count(slower, speedups)} slower, by up to {_by(worst)}")
    same = len(speedups) - len(faster) - len(slower)
    if same and parts:
        parts.append(f"{same} not measurably different")
    speed = (
        f"Generating, {'; '.join(parts)}."
        if parts
        else "No plan generates measurably faster or slower than the source."
    )
    return f"{speed} {_memory(plans, conditions)}"


def _memory(plans: Sequence[Evaluated], conditions: SpeedConditions) -> str:
    ratios = {
        row.kv_ratio: figure.value
        for row in plans
        if (figure := _figure(row, conditions, "cache_ratio")) is not None
    }
    if not ratios:
        return ""
    low, high = (percent_text(end(ratios.values())) for end in (min, max))
    span = low if low == high else f"{low} to {high}"
    is_kept = all(abs(ratio - held) < 1e-9 for ratio, held in ratios.items())
    promise = "as promised" if is_kept else "not what the plans promise"
    return f"The live KV cache holds {span} of the source's bytes, {promise}."


def _count(some: Sequence[Measurement], every: Sequence[Measurement]) -> str:
    if len(every) == 1:
        return "the plan is"
    return f"{len(some)} of {len(every)} plans {'is' if len(some) == 1 else 'are'}"


def _by(ratio: float) -> str:
    return percent_text(abs(ratio - 1))


def _reach(figure: Measurement) -> float:
    return STANDARD_ERRORS * (figure.standard_error or 0.0)


def _figure(row: Evaluated, conditions: SpeedConditions, metric: str) -> Measurement | None:
    return row.figure(measurement_name(conditions.load.data, metric))
