"""What a card says of the best plan of a method within a budget."""

from dataclasses import dataclass
from math import isfinite, isnan

from qcqa.charts.common.kv_axis import KvAxis, significant
from qcqa.charts.common.markup import plain
from qcqa.charts.common.wording import error_text, in_sentence
from qcqa.charts.fronts.comparison import BudgetPoint, percent_text
from qcqa.charts.fronts.equal_bytes import ERROR_NOT_KNOWN, Comparison, difference_text
from qcqa.charts.fronts.error_axis import ERROR_SCALES, ErrorAxis, ErrorScale
from qcqa.charts.fronts.plan_figures import PlanFigure
from qcqa.plan.metric import metric_of
from qcqa.plan.plan import Measurement
from qcqa.search.result import SearchResult

_NONE = "\N{EM DASH}"


@dataclass(frozen=True, slots=True)
class PlanCard:
    """A figure, what it is, what it is compared with, and what else is to be known.

    Parameters
    ----------
    value, label : str
        What the chart's axis shows of the plan, and its name: the same name on every card.
    change : str or None
        Its measured difference from that of GQA's plan of the same size; None where nothing is to
        be compared, and then the lines say why.
    is_better : bool or None
        Whether the change is clearly for the better; None where it may be chance.
    lines : tuple of str
        Further facts, each a few words.
    """

    value: str
    label: str
    change: str | None
    is_better: bool | None
    lines: tuple[str, ...]


def plan_card(
    result: SearchResult,
    point: BudgetPoint,
    axis: KvAxis,
    *,
    scale: str,
    label: str,
    max_kv_bits: int,
    figure: PlanFigure | None,
    comparison: Comparison | None,
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
    scale, label : str
        What the chart shows, an error scale or a measured metric, and the metric's name.
    max_kv_bits : int
        The budget.
    figure : PlanFigure or None
        The plan's measured figure, where it was measured.
    comparison : Comparison or None
        The plan beside GQA's, by that figure; None for GQA itself and where there is no GQA.
    """
    size = []
    if point.size != max_kv_bits:
        size = [f"{axis.text(point.size)} of KV cache"]
    for known in ERROR_SCALES:
        if known == scale:
            return _estimated(result, point, axis, known, size, figure, comparison)
    if figure is not None and figure.read_bits:
        size.append(f"measured on short texts, at {axis.text(figure.read_bits)}")
    difference = comparison.difference if comparison else None
    return PlanCard(
        value=_NONE if figure is None else figure.bare,
        label=measured_label(scale, label),
        change=None if difference is None else _without_unit(difference),
        is_better=comparison.is_better if comparison else None,
        lines=(
            *([] if difference is None else [_against(difference, "GQA")]),
            *(["not measured at this size"] if figure is None else []),
            *size,
            *([] if difference else _why_not(comparison, axis)),
            *_from_source(figure, is_source=point.kv_bits == result.spec.kv_bits),
            f"estimated: {', '.join([*_searched(point), *_relative_wse(point)])}",
        ),
    )


def measured_label(metric: str, label: str) -> str:
    """Return what cards call a measured metric: with its unit, unless values carry it."""
    unit = metric_of(metric).unit
    name = in_sentence(label)
    return f"measured: {name}" if not unit else f"measured: {name}, {unit}"


def _estimated(
    result: SearchResult,
    point: BudgetPoint,
    axis: KvAxis,
    scale: ErrorScale,
    size: list[str],
    figure: PlanFigure | None,
    comparison: Comparison | None,
) -> PlanCard:
    """Return a card for an axis of errors that a search predicts."""
    value, label = _error(result, point, scale)
    lines = list(size)
    if value == _NONE:
        lines.append("no bound holds for it" if scale == "gap" else "not known of this plan")
    if scale in ("relative", "absolute"):
        lines += _beside_gqa(point, comparison, axis) + _gap(point)
    else:
        lines += _relative_wse(point)
    if scale != point.fitness:
        lines += _searched(point)
    if figure is not None:
        name = plain(in_sentence(figure.label))
        lines.append(f":material/science: measured: {figure.value} {name}")
    return PlanCard(value=value, label=label, change=None, is_better=None, lines=tuple(lines))


def _error(result: SearchResult, point: BudgetPoint, scale: ErrorScale) -> tuple[str, str]:
    """Return an error of a plan, and its name; a dash where it is not known."""
    front, shown = result.fronts[point.method], ErrorAxis(result, scale)
    known = shown.shows(front)
    value = float(shown.of_front(front, [point.index])[0]) if known else float("nan")
    name = f"estimated: {in_sentence(ERROR_SCALES[scale])}"
    if scale == "loss":
        name += ", nats per token"
    if isnan(value):
        return _NONE, name
    if scale == "gap":
        return percent_text(value / 100), name
    return (f"{value:.3f}" if scale == "relative" else significant(value)), name


def _beside_gqa(point: BudgetPoint, comparison: Comparison | None, axis: KvAxis) -> list[str]:
    """Return the WSE beside that of GQA's plan of the same size: an estimate, and no verdict."""
    if comparison is None:
        return []
    if comparison.outcome in ("no plan", "other size", "same plan") or not isfinite(point.over_gqa):
        return _why_not(comparison, axis)
    if point.over_gqa == 0:
        return ["as high as GQA's"]
    way = "lower" if point.over_gqa < 0 else "higher"
    return [f"{percent_text(abs(point.over_gqa))} {way} than GQA's"]


def _why_not(comparison: Comparison | None, axis: KvAxis) -> list[str]:
    """Return why a card compares nothing; that nothing was measured is said of the plan itself."""
    if comparison is None or comparison.outcome == "not measured":
        return []
    return [comparison.words(axis)]


def _from_source(figure: PlanFigure | None, *, is_source: bool) -> list[str]:
    if is_source:
        return ["the source itself: no difference"]
    if figure is None or figure.from_source is None:
        return []
    difference = figure.from_source
    return [f"{difference_text(difference)} {_against(difference, 'the source')}"]


def _without_unit(difference: Measurement) -> str:
    """Return a difference for a badge, whose card's label has the unit; points are its own."""
    return difference_text(difference).removesuffix(f" {metric_of(difference).unit}")


def _against(difference: Measurement, other: str) -> str:
    known = difference.standard_error is not None
    return f"against {other}" if known else f"against {other}, {ERROR_NOT_KNOWN}"


def _searched(point: BudgetPoint) -> list[str]:
    """Return the error by which a plan was chosen where that is not its WSE."""
    return [] if point.fitness == "wse" else [error_text(point.fitness, point.error)]


def _relative_wse(point: BudgetPoint) -> list[str]:
    return [] if isnan(point.relative_wse) else [f"relative WSE {point.relative_wse:.3f}"]


def _gap(point: BudgetPoint) -> list[str]:
    """Return the distance from the lower bound in as few words as a card has room for."""
    if isnan(point.over_bound):
        return []
    if point.reaches_bound:
        return ["no grouping alike for K and V has a lower WSE"]
    if not isfinite(point.over_bound):
        return ["the source itself fits"]
    return [f"{percent_text(point.over_bound)} above lower bound"]
