"""Speed and memory of generation, plans beside their source: a table, and what it says in words."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from qcqa.charts.common.palette import method_style
from qcqa.charts.fronts.comparison import percent_text
from qcqa.charts.quality.series import bar_of
from qcqa.measure.benchmark import DecodeLoad
from qcqa.measure.evaluation import Evaluation, by_size
from qcqa.plan.metric import measurement_name
from qcqa.plan.plan import Measurement


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

    def figure(self, row: Evaluation, metric: str) -> Measurement | None:
        """Return a row's figure of speed, by the name of its metric, or None without one."""
        return row.figure(measurement_name(self.load.data, metric))


def speed_conditions(rows: Iterable[Evaluation]) -> list[SpeedConditions]:
    """Return under which conditions speed was measured, those of the most rows first."""
    found = Counter(
        SpeedConditions(row.benchmark.speed, row.device, row.dtype)
        for row in rows
        if row.benchmark.speed is not None
    )
    return [conditions for conditions, _ in found.most_common()]


def speed_rows(rows: Iterable[Evaluation], conditions: SpeedConditions) -> list[Evaluation]:
    """Return the rows of some conditions: the source, then from the largest cache down.

    Of rows of the same model, which other benchmarks may have measured again, the last counts.
    """
    latest = {
        (row.method, row.plan_digest): row
        for row in rows
        if (row.benchmark.speed, row.device, row.dtype)
        == (conditions.load, conditions.device, conditions.dtype)
    }
    return list(by_size(latest.values()))


def speed_table(rows: Iterable[Evaluation], conditions: SpeedConditions) -> pd.DataFrame:
    """Return a row per model: medians over rounds, and for plans their ratios to the source.

    Parameters
    ----------
    rows : iterable of Evaluation
        Of one source model.
    conditions : SpeedConditions
        Which rows are told.
    """
    found = []
    for row in speed_rows(rows, conditions):
        cells: dict[str, object] = {
            "method": method_style(row.method).label,
            "KV ratio": row.kv_ratio,
        }
        for title, (metric, scale) in _COLUMNS.items():
            figure = conditions.figure(row, metric)
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


def speed_sentence(rows: Iterable[Evaluation], conditions: SpeedConditions) -> str:
    """Return in one or two sentences what a smaller cache does to speed and memory.

    A plan is faster or slower where the ratio of its speed to the source's, taken in turns, is 1.96
    standard errors away from 1.
    """
    plans = [row for row in speed_rows(rows, conditions) if not row.is_source]
    found = [conditions.figure(row, "decode_speedup") for row in plans]
    speedups = [figure for figure in found if figure is not None]
    if not speedups:
        return ""
    faster = [figure for figure in speedups if figure.value - bar_of(figure) > 1]
    slower = [figure for figure in speedups if figure.value + bar_of(figure) < 1]
    parts = []
    if faster:
        best = max(figure.value for figure in faster)
        parts.append(f"{_count(faster, speedups)} faster than the source, by up to {_by(best)}")
    if slower:
        worst = min(figure.value for figure in slower)
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


def _memory(plans: Sequence[Evaluation], conditions: SpeedConditions) -> str:
    ratios = {
        row.kv_ratio: figure.value
        for row in plans
        if (figure := conditions.figure(row, "cache_ratio")) is not None
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
