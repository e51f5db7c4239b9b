"""What a budget buys, in one sentence: by what was measured, or else as an estimate."""

from collections.abc import Iterable, Mapping, Sequence
from math import hypot, isfinite, isnan

from qcqa.charts.common.kv_axis import KvAxis, significant, size_text
from qcqa.charts.common.markup import plain
from qcqa.charts.common.palette import method_style
from qcqa.charts.common.wording import ERROR_NAMES, in_sentence, listed
from qcqa.charts.fronts.comparison import BudgetPoint, percent_text
from qcqa.charts.fronts.equal_bytes import compare_methods, is_same_plan
from qcqa.charts.quality.series import value_text
from qcqa.measure.comparable import CLEAR_STANDARD_ERRORS, paired_difference, rows_of_plans
from qcqa.measure.evaluation import Evaluation
from qcqa.pick.ground import BestMethod
from qcqa.plan.metric import metric_of
from qcqa.reduce.terms import Fitness
from qcqa.search.methods import METHODS
from qcqa.search.result import SearchResult

Points = Mapping[str, BudgetPoint | None]


def budget_headline(
    result: SearchResult,
    points: Points,
    equals: Sequence[BudgetPoint],
    axis: KvAxis,
    budget: float,
    *,
    rows: Iterable[Evaluation] = (),
    metric: str | None = None,
    label: str = "",
    scale: str = "",
    best: BestMethod | None = None,
) -> str:
    """Say what the budget buys, as Markdown.

    Parameters
    ----------
    result : SearchResult
        Fronts of the methods.
    points : mapping from str to BudgetPoint or None
        The methods' plans at the budget.
    equals : sequence of BudgetPoint
        The best plans, equally good ones; none where no plan fits.
    axis : KvAxis
        Unit of the cache's size.
    budget : float
        Share of the source's cache.
    rows : iterable of Evaluation
        What was measured.
    metric, label : str
        The metric to go by, and what it is called.
    scale : str
        What the chart shows; of an error scale, the estimate speaks of that error.
    best : BestMethod, optional
        On which ground the first of them is.
    """
    whole = "the source's KV cache" if axis.unit == "percent" else "KV cache"
    within = f"within {size_text(budget * axis.full, axis.unit)} of {whole}"
    if not equals:
        least = min(int(front.size.min()) for front in result.fronts.values())
        return (
            f"No plan fits {within.removeprefix('within ')}: "
            f"one K and one V head per layer already need {axis.text(least)}."
        )
    if any(point is not None and point.wse == 0 for point in points.values()):
        return "The source itself fits this budget: nothing needs to be merged."
    trade = _trade(result, equals[0])
    if metric is not None:
        measured = _measured(result, points, list(rows), metric, label, axis, within)
        if measured is not None:
            return measured + trade
    if best is not None and best.by == "measured":
        name = method_style(best.method).label
        return (
            f"Of what was measured, {within}, **{name}** is the best: {plain(best.ground)}.{trade}"
        )
    return f"Estimated, {within}: {_estimated(points, equals, scale)}{trade}"


def _trade(result: SearchResult, best: BudgetPoint) -> str:
    """Say when fewer bits are the better trade, alone or with heads."""
    kinds = set(METHODS[best.method].reductions) if best.method in METHODS else set()
    if "bits" not in kinds or kinds - {"groups", "bits"}:
        return ""
    kind = f"On this {result.spec.attention} model" if result.spec.attention != "MHA" else "Here"
    if best.num_stored_heads == result.spec.num_stored_heads:
        return f" {kind} fewer bits are a better trade than heads that share."
    return f" {kind} fewer bits and heads that share are best together."


def shown_names(result: SearchResult, points: Points) -> dict[str, str]:
    """Return the methods to show at a budget with their names: all but the source.

    Where the plans of GQA and MQA are one plan, GQA stands for both.
    """
    names = {name: method_style(name).label for name in points if name != "mha"}
    gqa, mqa = points.get("gqa"), points.get("mqa")
    if gqa is not None and mqa is not None and is_same_plan(result, gqa, mqa):
        names["gqa"] = f"{names['gqa']} = {names.pop('mqa')}"
    return names


def _measured(
    result: SearchResult,
    points: Points,
    rows: list[Evaluation],
    metric: str,
    label: str,
    axis: KvAxis,
    within: str,
) -> str | None:
    """Say whose plan was measured to be the best; None unless all that are shown were measured."""
    higher = metric_of(metric).higher_is_better
    names = shown_names(result, points)
    fitting = [point for name in names if (point := points[name]) is not None]
    known = rows_of_plans(rows, metric)
    measured = {
        point.method: known[plan]
        for point in fitting
        if (plan := (point.method, point.kv_bits)) in known
    }
    values = {name: _value(row, metric) for name, row in measured.items()}
    if higher is None or len(measured) < len(fitting) or not all(map(isfinite, values.values())):
        return None
    ranked = sorted(measured, key=lambda name: values[name], reverse=higher)
    first = ranked[0]
    ways = [name for name in ranked if values[name] == values[first]]
    close = [
        name
        for name in ranked
        if name not in ways and _is_close(measured[first], measured[name], metric)
    ]
    has = "have" if len(ways) > 1 else "has"
    said = (
        f"Measured, {within}: {_bold(names, ways)} {has} the {'highest' if higher else 'lowest'} "
        f"{plain(in_sentence(label))}, {value_text(metric, values[first])}"
    )
    if close:
        said += f", not clearly better than {_bold(names, close)}"
    beside_gqa = compare_methods(result, points, rows, metric).get(first)
    if beside_gqa is None or "gqa" in (*ways, *close):
        return f"{said}."
    return f"{said}. {beside_gqa.sentence(axis)}."


def _value(row: Evaluation, metric: str) -> float:
    figure = row.figure(metric)
    return float("nan") if figure is None else figure.value


def _is_close(first: Evaluation, second: Evaluation, metric: str) -> bool:
    """Return whether two figures differ so little that it may be chance."""
    difference = paired_difference(first, second, metric)
    if difference is None:
        return True
    error = difference.standard_error
    if error is None:
        # Cautious: both had the same samples, so that their difference is surer than this.
        figures = [row.figure(metric) for row in (first, second)]
        errors = [figure.standard_error for figure in figures if figure is not None]
        if any(each is None for each in errors):
            return True
        error = hypot(*(each or 0.0 for each in errors))
    return abs(difference.value) <= CLEAR_STANDARD_ERRORS * error


#: By which error the scales of the chart go.
_FITNESSES: Mapping[str, Fitness] = {
    "relative": "wse",
    "absolute": "wse",
    "gap": "wse",
    "output-error": "output-error",
    "loss": "loss",
}


def _estimated(points: Points, equals: Sequence[BudgetPoint], scale: str) -> str:
    """Say whose plan has the lowest error of the chart's, and whose that by which one is taken."""
    taken = equals[0].fitness
    shown = _FITNESSES.get(scale, taken)
    if shown == taken or not (lowest := _lowest(points, shown)):
        return _least(equals, taken)
    return f"{_least(lowest, shown)} {_least(equals, taken)}"


def _lowest(points: Points, fitness: Fitness) -> list[BudgetPoint]:
    """Return the plans of the lowest error by a fitness, of those of which it is known."""
    errors = {
        name: point.relative_wse if fitness == "wse" else point.error
        for name, point in points.items()
        if point is not None and fitness in ("wse", point.fitness) and not isnan(point.relative_wse)
    }
    least = min(errors.values(), default=0.0)
    found = (points[name] for name, error in errors.items() if error <= least * (1 + 1e-9))
    return [point for point in found if point is not None]


def _least(equals: Sequence[BudgetPoint], fitness: Fitness) -> str:
    """Say which plans have the lowest error by a fitness, and how low it is."""
    best = equals[0]
    names = {point.method: method_style(point.method).label for point in equals}
    has = "have" if len(names) > 1 else "has"
    name, unit = ERROR_NAMES[fitness]
    said = f"{_bold(names, list(names))} {has} the lowest {name}, "
    if fitness != "wse":
        return f"{said}{significant(best.error)} {unit}".strip() + "."
    compared = ""
    if isfinite(best.over_gqa) and best.over_gqa < -1e-9:
        compared = f", {percent_text(-best.over_gqa)} less than GQA"
    proof = _proof(best)
    return f"{said}{best.relative_wse:.3f}{compared}.{f' {proof}' if proof else ''}"


def _proof(best: BudgetPoint) -> str:
    """Say how much lower the WSE could be; nothing where no lower bound holds."""
    if best.reaches_bound:
        return "No grouping alike for keys and values has a lower WSE."
    if isnan(best.over_bound):
        return ""
    room = best.over_bound / (1 + best.over_bound) if isfinite(best.over_bound) else 1.0
    return f"No grouping alike for keys and values can be more than {percent_text(room)} lower."


def _bold(names: Mapping[str, str], methods: Sequence[str]) -> str:
    return listed([f"**{names[name]}**" for name in methods])
