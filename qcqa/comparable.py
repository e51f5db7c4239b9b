"""Which measured figures may be compared: those of one metric, under the same conditions."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite

from qcqa.evaluated import Benchmark, Evaluated
from qcqa.metric import DIFFERENCE, OF_TEXTS, metric_of
from qcqa.metric import text_label as text_label
from qcqa.plan import Measurement
from qcqa.samples import paired_standard_error

#: Fewer tokens, or questions, say next to nothing of a model.
_FEWEST_TOKENS, _FEWEST_QUESTIONS = 1000, 50

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
            parts.append(text_label(self.text))
        if self.window_tokens:
            parts.append(f"windows of {self.window_tokens:,} tokens")
        parts += [told for told in (self.dtype, self.device) if told not in ("auto", "cpu")]
        return ", ".join(parts)


def is_of_text(name: str) -> bool:
    """Return whether a metric counts tokens of a text, not questions of a task."""
    return metric_of(name).name in OF_TEXTS


def is_small(figure: Measurement) -> bool:
    """Return whether a figure rests on so few tokens or questions that it says next to nothing."""
    fewest = _FEWEST_TOKENS if is_of_text(figure.metric) else _FEWEST_QUESTIONS
    return figure.sample_count is not None and figure.sample_count < fewest


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


def rows_of_plans(rows: Iterable[Evaluated], metric: str) -> dict[PlanId, Evaluated]:
    """Return the rows with one metric, under the conditions of most; see :func:`rows_under`.

    Of several merges of one plan it is the mean's, which is what WSE is about.
    """
    found: dict[PlanId, Evaluated] = {}
    for row in rows_under(rows, metric):
        plan = (row.method, row.num_cached_heads)
        if plan not in found or row.merge == "mean":
            found[plan] = row
    return found


def figures_of_plans(rows: Iterable[Evaluated], metric: str) -> dict[PlanId, Measurement]:
    """Return the figures of one metric, as :func:`rows_of_plans` chooses them."""
    figures = {plan: row.figure(metric) for plan, row in rows_of_plans(rows, metric).items()}
    return {plan: figure for plan, figure in figures.items() if figure is not None}


def paired_difference(one: Evaluated, other: Evaluated, metric: str) -> Measurement | None:
    """Return one model's figure less another's, with a paired standard error where it is known.

    Parameters
    ----------
    one, other : Evaluated
        Measured under the same conditions.
    metric : str
        Name of the figure.

    Returns
    -------
    Measurement or None
        None where one of them lacks the figure, or it is beyond all numbers.
    """
    mine, others = one.figure(metric), other.figure(metric)
    if mine is None or others is None:
        return None
    value = mine.value - others.value
    if not isfinite(value):
        return None
    return Measurement(
        metric + DIFFERENCE, value, _standard_error(one, other, metric), mine.sample_count
    )


def _standard_error(one: Evaluated, other: Evaluated, metric: str) -> float | None:
    if other.is_source and (kept := one.figure(metric + DIFFERENCE)) is not None:
        return kept.standard_error
    # A perplexity is the exponential of the mean that has samples.
    is_perplexity = metric_of(metric).name == "perplexity"
    name = f"{metric.removesuffix('perplexity')}nll" if is_perplexity else metric
    pair = [
        next((samples for samples in row.samples if samples.metric == name), None)
        for row in (one, other)
    ]
    if pair[0] is None or pair[1] is None:
        return None
    return paired_standard_error(pair[0], pair[1], of_exp=is_perplexity)


def _conditions(row: Evaluated, metric: str) -> Conditions:
    return conditions_under(row.benchmark, metric, device=row.device, dtype=row.dtype)
