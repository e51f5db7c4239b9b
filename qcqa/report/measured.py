"""Measured rows, sorted for tables and charts: which metrics, under which conditions, of whom."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import isfinite

from qcqa.evaluated import Benchmark, Evaluated
from qcqa.metric import DIFFERENCE, data_of, metric_of
from qcqa.plan import Measurement
from qcqa.report.kv_axis import significant
from qcqa.report.palette import MethodStyle, in_order, method_style

#: Metrics of a text, as :func:`qcqa.evaluate.evaluate_text` names them.
_OF_TEXTS = ("perplexity", "accuracy", "nll", "kl", "same_top")

#: Metrics of speed and memory.
_OF_SPEED = ("prefill_seconds", "seconds_per_token", "tokens_per_second", "peak_bytes")

#: Fewer tokens, or questions, say next to nothing of a model.
_FEWEST_TOKENS, _FEWEST_QUESTIONS = 1000, 50

#: Longer names of data are cut.
_LONGEST_NAME = 48

#: Half the width of an error bar, in standard errors: 95 % of a normal distribution.
STANDARD_ERRORS = 1.96

#: Method and cached heads of a plan.
PlanId = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Conditions:
    """Under what a figure was measured: only figures of the same conditions are comparable.

    Parameters
    ----------
    device, dtype : str
        Where, and in which type, the models ran.
    limit : int or None
        At most so many windows of the text, or questions.
    text : str or None
        File of the text, for metrics of a text.
    window_tokens : int or None
        Tokens that the model read at once, for metrics of a text.
    limit_of : str
        What was counted of the text, see :class:`~qcqa.evaluated.Benchmark`.
    """

    device: str
    dtype: str
    limit: int | None
    text: str | None = None
    window_tokens: int | None = None
    limit_of: str = "windows"

    @property
    def label(self) -> str:
        """In words, for a switch."""
        counted, whole = (
            (self.limit_of, "whole text") if self.text else ("questions", "all questions")
        )
        parts = [f"at most {self.limit:,} {counted}" if self.limit else whole]
        if self.text:
            parts.append(self.text)
        if self.window_tokens:
            parts.append(f"windows of {self.window_tokens:,} tokens")
        parts += [told for told in (self.dtype, self.device) if told not in ("auto", "cpu")]
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Series:
    """Measured plans of one method and one way to merge, from the smallest cache to the largest.

    Parameters
    ----------
    method, merge : str
        As in the rows.
    style : MethodStyle
        Looks and name; the name tells merges of one method apart.
    rows : tuple of Evaluated
        One per size of cache.
    """

    method: str
    merge: str
    style: MethodStyle
    rows: tuple[Evaluated, ...]

    @property
    def is_source(self) -> bool:
        """Whether it is the source model's single row."""
        return self.rows[0].is_source


def metrics_of(rows: Iterable[Evaluated]) -> dict[str, str]:
    """Return the measured metrics and short names for them: those of texts first, then tasks.

    What was measured on a small sample only comes last, and its name says so.

    Differences and ratios to the source are left out, bytes of the cache, which are the other
    axis, speed (see :mod:`qcqa.report.speed`), and the log-likelihood where there is perplexity,
    which says the same.
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
    metrics_per_task = Counter(data_of(name) for name in shown)
    labels = {}
    for name in sorted(shown, key=lambda one: (one not in telling, data_of(one) not in texts)):
        data, label = short_name(data_of(name)), metric_of(name).label
        if data_of(name) in texts:
            labels[name] = _capital(label) + (f", {data}" if len(texts) > 1 else "")
        elif not data:
            labels[name] = _capital(label)
        else:
            labels[name] = data if metrics_per_task[data_of(name)] == 1 else f"{data}, {label}"
        if name not in telling:
            labels[name] += " (small sample)"
    return labels


def metric_title(name: str) -> str:
    """Return what a metric is, with its data and its unit."""
    metric, data = metric_of(name), short_name(data_of(name))
    title = f"{data}: {metric.label}" if data else metric.label
    unit = "%" if metric.is_share else metric.unit
    return f"{title}, {unit}" if unit else title


def is_of_text(name: str) -> bool:
    """Return whether a metric counts tokens of a text, not questions of a task."""
    return metric_of(name).name in _OF_TEXTS


def is_small(figure: Measurement) -> bool:
    """Return whether a figure rests on so few tokens or questions that it says next to nothing."""
    fewest = _FEWEST_TOKENS if is_of_text(figure.metric) else _FEWEST_QUESTIONS
    return figure.sample_count is not None and figure.sample_count < fewest


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


def conditions_of(rows: Iterable[Evaluated], metric: str) -> list[Conditions]:
    """Return under which conditions a metric was measured, those of the most rows first.

    Small samples come last: a text of a few words must not stand for a model.
    """
    found = Counter[Conditions]()
    telling = set()
    for row in rows:
        figure = row.figure(metric)
        if figure is not None:
            conditions = _conditions(row, metric)
            found[conditions] += 1
            if not is_small(figure):
                telling.add(conditions)
    return sorted(found, key=lambda one: (one not in telling, -found[one]))


def conditions_under(
    benchmark: Benchmark, metric: str, *, device: str = "cpu", dtype: str = "auto"
) -> Conditions:
    """Return under which conditions a benchmark measures a metric."""
    if is_of_text(metric):
        return Conditions(
            device,
            dtype,
            benchmark.limit,
            benchmark.text,
            benchmark.window_tokens,
            benchmark.limit_of,
        )
    return Conditions(device, dtype, benchmark.limit)


def rows_under(
    rows: Iterable[Evaluated], metric: str, conditions: Conditions | None = None
) -> list[Evaluated]:
    """Return the rows in which a metric was measured under the same conditions.

    Parameters
    ----------
    rows : iterable of Evaluated
        Of one source model; of equal plans the last counts.
    metric : str
        Name of the metric.
    conditions : Conditions, optional
        Those of the most rows by default.
    """
    every = list(rows)
    there = conditions_of(every, metric)
    wanted = conditions if conditions in there else next(iter(there), None)
    kept = {
        (row.method, row.merge, row.num_cached_heads): row
        for row in every
        if row.figure(metric) and _conditions(row, metric) == wanted
    }
    return list(kept.values())


def figures_of_plans(rows: Iterable[Evaluated], metric: str) -> dict[PlanId, Measurement]:
    """Return the figures of one metric, under the conditions of most; see :func:`rows_under`.

    Of several merges of one plan it is the mean's, which is what WSE is about.
    """
    found: dict[PlanId, Evaluated] = {}
    for row in rows_under(rows, metric):
        plan = (row.method, row.num_cached_heads)
        if plan not in found or row.merge == "mean":
            found[plan] = row
    figures = {plan: row.figure(metric) for plan, row in found.items()}
    return {plan: figure for plan, figure in figures.items() if figure is not None}


def series_of(rows: Sequence[Evaluated]) -> list[Series]:
    """Return the rows by method and merge, in the order in which methods are shown."""
    merges: dict[str, list[str]] = {}
    for row in rows:
        if row.merge not in merges.setdefault(row.method, []):
            merges[row.method].append(row.merge)
    series = []
    for method in in_order(merges):
        # The mean is the merge of the paper and of GQA: it comes first, in the method's own looks.
        for place, merge in enumerate(sorted(merges[method], key=_mean_first)):
            own = [row for row in rows if (row.method, row.merge) == (method, merge)]
            own.sort(key=lambda row: row.num_cached_heads)
            style = _style(method, merge, place, len(merges[method]))
            series.append(Series(method, merge, style, tuple(own)))
    return series


def source_of(rows: Iterable[Evaluated]) -> Evaluated | None:
    """Return the row of the source model, or None if it was not measured."""
    return next((row for row in rows if row.is_source), None)


def _conditions(row: Evaluated, metric: str) -> Conditions:
    return conditions_under(row.benchmark, metric, device=row.device, dtype=row.dtype)


def _mean_first(merge: str) -> tuple[bool, str]:
    return (merge != "mean", merge)


def _style(method: str, merge: str, place: int, num_merges: int) -> MethodStyle:
    """Return a method's looks, changed a little where several merges must be told apart."""
    own = method_style(method)
    if num_merges == 1:
        return own
    named = replace(own, label=f"{own.label}, {merge}")
    if place == 0:
        return named
    dash = ("longdash", "dashdot", "longdashdot")[(place - 1) % 3]
    return replace(named, dash=dash, symbol=f"{own.symbol}-dot", width=2.2)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def value_text(metric: str, value: float) -> str:
    """Return a figure as people write it, with its unit."""
    if not isfinite(value):
        return "\N{EM DASH}"
    told = metric_of(metric)
    if told.is_share:
        return f"{100 * value:.1f} %"
    return f"{significant(value)} {told.unit}".strip()


def bar_of(figure: Measurement) -> float:
    """Return half the width of a figure's error bar; 0 where its standard error is not known."""
    return STANDARD_ERRORS * (figure.standard_error or 0.0)


def change_text(metric: str, value: float) -> str:
    """Return the difference of two figures with its sign; those of shares are in points."""
    if metric_of(metric).is_share:
        text = f"{100 * value:+.1f} points"
    else:
        text = ("+" if value > 0 else "") + significant(value)
    return text.replace("-", "\N{MINUS SIGN}")


def change_of(row: Evaluated, metric: str, source: Evaluated | None) -> Measurement | None:
    """Return a figure less the source's.

    It has a standard error where both were measured on the same samples and compared one by one;
    otherwise it is a plain difference without any.
    """
    if row.is_source:
        return None
    paired = row.figure(metric + DIFFERENCE)
    if paired is not None:
        return paired
    own, of_source = row.figure(metric), source.figure(metric) if source else None
    if own is None or of_source is None:
        return None
    return Measurement(metric + DIFFERENCE, own.value - of_source.value)
