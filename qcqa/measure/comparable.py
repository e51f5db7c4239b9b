"""Which measured figures may be compared: those of one metric, under the same conditions."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import TypeVar

from qcqa.measure.benchmark import Benchmark
from qcqa.measure.evaluation import Evaluation
from qcqa.measure.samples import Samples, paired_standard_error
from qcqa.plan.metric import DIFFERENCE, OF_TEXTS, metric_of
from qcqa.plan.metric import text_label as text_label
from qcqa.plan.plan import Measurement

#: Fewer tokens, or questions, say next to nothing of a model.
_FEWEST_TOKENS, _FEWEST_QUESTIONS = 1000, 50

#: Differences of fewer standard errors than this may be chance.
CLEAR_STANDARD_ERRORS = 2.0

#: Method and bits per token of a plan.
PlanId = tuple[str, int]

_Found = TypeVar("_Found")


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
        What was counted of the text, see :class:`~qcqa.measure.benchmark.Benchmark`.
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
        parts += [part for part in (self.dtype, self.device) if part not in ("auto", "cpu")]
        return ", ".join(parts)


def is_of_text(name: str) -> bool:
    """Return whether a metric counts tokens of a text, not questions of a task."""
    return metric_of(name).name in OF_TEXTS


def is_small(figure: Measurement) -> bool:
    """Return whether a figure rests on so few tokens or questions that it says next to nothing."""
    fewest = _FEWEST_TOKENS if is_of_text(figure.metric) else _FEWEST_QUESTIONS
    return figure.sample_count is not None and figure.sample_count < fewest


def conditions_of(rows: Iterable[Evaluation], metric: str) -> list[Conditions]:
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
    return sorted(found, key=lambda case: (case not in telling, -found[case]))


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
    rows: Iterable[Evaluation], metric: str, conditions: Conditions | None = None
) -> list[Evaluation]:
    """Return the rows in which a metric was measured under the same conditions, on the same data.

    A text may have been edited between two measurements: of several versions of the data it is the
    one that most rows have. Of rows that older releases left, nobody knows.

    Parameters
    ----------
    rows : iterable of Evaluation
        Of one source model; of equal plans the last counts that has its samples.
    metric : str
        Name of the metric.
    conditions : Conditions, optional
        Those of the most rows by default.
    """
    every = sorted(rows, key=lambda row: row.is_comparable)
    there = conditions_of(every, metric)
    wanted = conditions if conditions in there else next(iter(there), None)
    matches = [row for row in every if row.figure(metric) and _conditions(row, metric) == wanted]
    data = {id(row): samples.digest for row in matches if (samples := _samples(row, metric))}
    most = next(iter(Counter(data.values()).most_common(1)), (None, 0))[0]
    kept = {
        (row.method, row.merge, row.kv_bits): row
        for row in matches
        if data.get(id(row), most) == most
    }
    return list(kept.values())


def rows_of_plans(rows: Iterable[Evaluation], metric: str) -> dict[PlanId, Evaluation]:
    """Return the rows with one metric, under the conditions of most; see :func:`rows_under`.

    Of several merges of one plan it is the mean's, which is what WSE is about.
    """
    found: dict[PlanId, Evaluation] = {}
    for row in rows_under(rows, metric):
        plan = (row.method, row.kv_bits)
        if plan not in found or row.merge == "mean":
            found[plan] = row
    return found


def figures_of_plans(rows: Iterable[Evaluation], metric: str) -> dict[PlanId, Measurement]:
    """Return the figures of one metric, as :func:`rows_of_plans` chooses them."""
    figures = {plan: row.figure(metric) for plan, row in rows_of_plans(rows, metric).items()}
    return {plan: figure for plan, figure in figures.items() if figure is not None}


def of_plan(found: Mapping[PlanId, _Found], plan: PlanId) -> _Found | None:
    """Return what was found of a plan: one that keeps every head is the source, whose ever it is.

    Parameters
    ----------
    found : mapping
        As :func:`rows_of_plans` or :func:`figures_of_plans` returns it.
    plan : tuple of (str, int)
        Method and bits per token.
    """
    return found.get(("mha", plan[1]), found.get(plan))


def paired_difference(row: Evaluation, other: Evaluation, metric: str) -> Measurement | None:
    """Return one model's figure less another's, with a paired standard error where it is known.

    Parameters
    ----------
    row, other : Evaluation
        Measured under the same conditions.
    metric : str
        Name of the figure.

    Returns
    -------
    Measurement or None
        None where one of them lacks the figure, it is beyond all numbers, or the two had other
        samples, as those of a text that was edited.
    """
    mine, others = row.figure(metric), other.figure(metric)
    if mine is None or others is None:
        return None
    value = mine.value - others.value
    pair = _samples(row, metric), _samples(other, metric)
    if not isfinite(value) or (pair[0] and pair[1] and pair[0].digest != pair[1].digest):
        return None
    return Measurement(
        metric + DIFFERENCE, value, _standard_error(row, other, metric), mine.sample_count
    )


def _standard_error(row: Evaluation, other: Evaluation, metric: str) -> float | None:
    if other.is_source and (kept := row.figure(metric + DIFFERENCE)) is not None:
        return kept.standard_error
    mine, others = _samples(row, metric), _samples(other, metric)
    if mine is None or others is None:
        return None
    return paired_standard_error(mine, others, of_exp=_is_perplexity(metric))


def _samples(row: Evaluation, metric: str) -> Samples | None:
    """Return the samples of a figure, or None where they were not kept."""
    # A perplexity is the exponential of the mean that has samples.
    name = f"{metric.removesuffix('perplexity')}nll" if _is_perplexity(metric) else metric
    return next((samples for samples in row.samples if samples.metric == name), None)


def _is_perplexity(metric: str) -> bool:
    return metric_of(metric).name == "perplexity"


def _conditions(row: Evaluation, metric: str) -> Conditions:
    return conditions_under(row.benchmark, metric, device=row.device, dtype=row.dtype)
