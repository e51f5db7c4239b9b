"""Measured rows, sorted for tables and charts: which metrics, under which conditions, of whom."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import isfinite

from qcqa.charts.common.kv_axis import significant
from qcqa.charts.common.palette import MethodStyle, in_order, method_style
from qcqa.charts.common.rounded import fixed
from qcqa.charts.common.wording import merge_label
from qcqa.measure.comparable import is_of_text, is_small, paired_difference
from qcqa.measure.evaluation import Evaluation
from qcqa.model.spec import ModelSpec
from qcqa.plan.metric import DIFFERENCE, data_label, data_of, metric_of
from qcqa.plan.plan import Measurement

#: Metrics of speed and memory.
_OF_SPEED = ("prefill_seconds", "seconds_per_token", "tokens_per_second", "peak_bytes")

#: Longer names of data are cut.
_LONGEST_NAME = 48

#: Half the width of an error bar, in standard errors: 95 % of a normal distribution.
STANDARD_ERRORS = 1.96


@dataclass(frozen=True, slots=True)
class Series:
    """Measured plans of one method and one way to merge, from the smallest cache to the largest.

    Parameters
    ----------
    method, merge : str
        As in the rows.
    style : MethodStyle
        Looks and name; the name tells merges of one method apart.
    rows : tuple of Evaluation
        One per size of cache.
    """

    method: str
    merge: str
    style: MethodStyle
    rows: tuple[Evaluation, ...]

    @property
    def is_source(self) -> bool:
        """Whether it is the source model's single row."""
        return self.rows[0].is_source


def metrics_of(rows: Iterable[Evaluation]) -> dict[str, str]:
    """Return the measured metrics and short names for them: those of texts first, then tasks.

    What was measured on a small sample only comes last, and its name says so.

    Differences and ratios to the source are left out, bytes of the cache, which are the other
    axis, speed (see :mod:`qcqa.charts.quality.speed`), and the log-likelihood where there is
    perplexity, which says the same.
    """
    figures = [figure for row in rows for figure in row.measured]
    names = list(dict.fromkeys(figure.metric for figure in figures))
    telling = {figure.metric for figure in figures if not is_small(figure)}
    kinds = {name: metric_of(name).name for name in names}
    # Only the evaluation of a text yields a log-likelihood.
    texts = {data_of(name) for name in names if kinds[name] == "nll"}
    shown = [
        name
        for name in names
        if not kinds[name].endswith((DIFFERENCE, "_ratio", "_speedup"))
        and not kinds[name].startswith("cache_bytes")
        and kinds[name] not in _OF_SPEED
        and not (kinds[name] == "nll" and name.removesuffix("nll") + "perplexity" in kinds)
    ]
    labels = {}
    for name in sorted(
        shown, key=lambda metric: (metric not in telling, data_of(metric) not in texts)
    ):
        data, label = data_title(name), metric_of(name).label
        is_only_text = data_of(name) in texts and len(texts) == 1
        labels[name] = _capital(label)
        if data and not is_only_text:
            labels[name] += f"{',' if ',' in label else ''} on {data}"
        if name not in telling:
            labels[name] += " (small sample)"
    return labels


def main_metric(rows: Iterable[Evaluation]) -> str | None:
    """Return the metric to begin with, accuracy before others, or None if none was measured."""
    metrics = metrics_of(rows)
    accuracies = [name for name in metrics if name.endswith("/accuracy")]
    return next(iter([*accuracies, *metrics]), None)


def metric_title(name: str) -> str:
    """Return what a metric is, with its data and its unit."""
    metric, data = metric_of(name), data_title(name)
    title = f"{data}: {metric.label}" if data else metric.label
    unit = "%" if metric.is_share else metric.unit
    return f"{title}, {unit}" if unit else title


def data_title(name: str) -> str:
    """Return what people call the data of a metric, short enough for an axis."""
    return short_name(data_label(data_of(name), is_file=is_of_text(name)))


def short_name(name: str, longest: int = _LONGEST_NAME) -> str:
    """Return a name that fits an axis: a long one without its middle."""
    if len(name) <= longest:
        return name
    half = longest // 2
    return f"{name[:half]}\N{HORIZONTAL ELLIPSIS}{name[-half:]}"


def direction_text(name: str) -> str:
    """Return which direction of a metric is better, empty where nobody knows."""
    higher = metric_of(name).higher_is_better
    return "" if higher is None else f"{'higher' if higher else 'lower'} is better"


def series_of(rows: Sequence[Evaluation], spec: ModelSpec | None = None) -> list[Series]:
    """Return the rows by method and merge, in the order in which methods are shown.

    Parameters
    ----------
    rows : sequence of Evaluation
        Of one source model.
    spec : ModelSpec, optional
        That model, where it is known.
    """
    merges: dict[str, list[str]] = {}
    for row in rows:
        if row.merge not in merges.setdefault(row.method, []):
            merges[row.method].append(row.merge)
    series = []
    for method in in_order(merges):
        # A plan in which no heads share is like any other of its method.
        if len(merges[method]) > 1 and "none" in merges[method]:
            merges[method].remove("none")
        # The mean is the merge of the paper and of GQA: it comes first, in the method's own looks.
        for place, merge in enumerate(sorted(merges[method], key=_mean_first)):
            ways = (merge, "none") if place == 0 else (merge,)
            matches = [row for row in rows if row.method == method and row.merge in ways]
            matches.sort(key=lambda row: row.bits_measured)
            style = _style(method_style(method, spec), merge, place, len(merges[method]))
            series.append(Series(method, merge, style, tuple(matches)))
    return series


def source_of(rows: Iterable[Evaluation]) -> Evaluation | None:
    """Return the row of the source model, or None if it was not measured."""
    return next((row for row in rows if row.is_source), None)


def _mean_first(merge: str) -> tuple[bool, str]:
    return (merge != "mean", merge)


def _style(style: MethodStyle, merge: str, place: int, num_merges: int) -> MethodStyle:
    """Return a method's looks, changed a little where several merges must be told apart."""
    if num_merges == 1:
        return style
    named = replace(style, label=f"{style.label}, {merge_label(merge)}")
    if place == 0:
        return named
    dash = ("longdash", "dashdot", "longdashdot")[(place - 1) % 3]
    return replace(named, dash=dash, symbol=f"{style.symbol}-dot", width=2.2)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def value_text(metric: str, value: float) -> str:
    """Return a figure as people write it, with its unit."""
    if not isfinite(value):
        return "\N{EM DASH}"
    kind = metric_of(metric)
    if kind.is_share:
        return f"{100 * value:.1f} %"
    return f"{significant(value)} {kind.unit}".strip()


def bar_of(figure: Measurement) -> float:
    """Return half the width of a figure's error bar; 0 where its standard error is not known."""
    return STANDARD_ERRORS * (figure.standard_error or 0.0)


def change_text(metric: str, value: float) -> str:
    """Return the difference of two figures with its sign; those of shares are in points."""
    if metric_of(metric).is_share:
        return f"{fixed(100 * value, 1, sign=True)} points"
    text = ("+" if value > 0 else "") + significant(value)
    return text.replace("-", "\N{MINUS SIGN}")


def change_of(row: Evaluation, metric: str, source: Evaluation | None) -> Measurement | None:
    """Return a figure less the source's.

    It has a standard error where both were measured on the same samples and compared one by one;
    otherwise it is a plain difference without any.
    """
    if row.is_source:
        return None
    kept = row.figure(metric + DIFFERENCE)
    if kept is not None or source is None:
        return kept
    return paired_difference(row, source, metric)
