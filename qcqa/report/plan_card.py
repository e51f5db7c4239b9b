"""What a card says of the best plan of a method within a budget."""

from dataclasses import dataclass
from math import isfinite, isnan

from qcqa.report.comparison import BudgetPoint, percent_text
from qcqa.report.error_axis import ERROR_SCALES, ErrorAxis, ErrorScale
from qcqa.report.kv_axis import KvAxis, significant
from qcqa.report.plan_figures import PlanFigure
from qcqa.report.wording import error_text, in_sentence
from qcqa.search_result import SearchResult


@dataclass(frozen=True, slots=True)
class PlanCard:
    """A figure, what it is, what it is compared with, and what else is to be known.

    Parameters
    ----------
    value, label : str
        The figure, and its name.
    change, against : str or None
        Its difference from that of another plan, None where there is none to compare, and whose
        that is, None for the source, whose figure is among the lines.
    lower_is_better : bool or None
        Of the change; None where nobody knows.
    lines : tuple of str
        Size and further figures, each a few words.
    """

    value: str
    label: str
    change: str | None
    against: str | None
    lower_is_better: bool | None
    lines: tuple[str, ...]


def plan_card(
    result: SearchResult,
    point: BudgetPoint,
    axis: KvAxis,
    *,
    scale: str,
    figure: PlanFigure | None,
) -> PlanCard:
    """Return the card of a plan: first what the chart shows of it, then the rest.

    Parameters
    ----------
    result : SearchResult
        Whose plan it is.
    point : BudgetPoint
        The plan.
    axis : KvAxis
        Unit of the cache's size.
    scale : str
        What the chart shows: an error scale, or a measured metric.
    figure : PlanFigure or None
        The plan's measured figure, where it was measured.
    """
    size = f"{axis.text(point.num_cached_heads)} of KV cache"
    if figure is not None and scale not in ERROR_SCALES:
        return PlanCard(
            value=figure.value,
            label=in_sentence(figure.label),
            change=figure.change,
            # A line of its own: beside the change there is no room for it on a phone.
            against=None,
            lower_is_better=figure.lower_is_better,
            lines=(
                *([f"source: {figure.source_value}"] if figure.source_value else []),
                size,
                *_searched(point),
                _relative_wse(point),
                *_gap(point),
            ),
        )
    shown = _predicted(result, point, scale)
    value, label = _error(result, point, shown)
    is_compared = (
        shown in ("relative", "absolute")
        and point.method not in ("gqa", "mha")
        and isfinite(point.over_gqa)
    )
    rest = [] if shown == "relative" else [_relative_wse(point)]
    rest += [] if shown == "gap" else _gap(point)
    if figure is not None:
        rest.append(f":material/science: {figure.value} {in_sentence(figure.label)}")
    return PlanCard(
        value=value,
        label=label,
        change=percent_text(point.over_gqa, sign=True) if is_compared else None,
        against="GQA" if is_compared else None,
        lower_is_better=True,
        lines=(size, *rest),
    )


def _predicted(result: SearchResult, point: BudgetPoint, scale: str) -> ErrorScale:
    """Return the error to show: the chart's where the plan was chosen by it, or its own aim."""
    front = result.fronts[point.method]
    for known in ERROR_SCALES:
        if known == scale and ErrorAxis(result, known).is_aim_of(front):
            return known
    return "relative" if point.fitness == "wse" else point.fitness


def _error(result: SearchResult, point: BudgetPoint, scale: ErrorScale) -> tuple[str, str]:
    """Return an error of a plan, and its name."""
    front = result.fronts[point.method]
    value = float(ErrorAxis(result, scale).of_front(front, [point.index])[0])
    name = in_sentence(ERROR_SCALES[scale])
    if isnan(value):
        return "\N{EM DASH}", name
    if scale == "gap":
        return percent_text(value / 100), "above the lower bound of its size"
    if scale == "loss":
        return significant(value), f"{name}, nats"
    return (f"{value:.3f}" if scale == "relative" else significant(value)), name


def _searched(point: BudgetPoint) -> list[str]:
    """Return the error by which a plan was chosen where that is not its WSE."""
    return [] if point.fitness == "wse" else [error_text(point.fitness, point.error)]


def _relative_wse(point: BudgetPoint) -> str:
    return f"relative WSE {point.relative_wse:.3f}"


def _gap(point: BudgetPoint) -> list[str]:
    """Return the distance from the lower bound in as few words as a card has room for."""
    if isnan(point.over_bound):
        return []
    if point.reaches_bound:
        return [":material/verified: reaches lower bound"]
    if not isfinite(point.over_bound):
        return ["the source itself fits"]
    return [f"{percent_text(point.over_bound)} above lower bound"]
