"""Two methods at one budget: compared only where their plans cache the same bytes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from qcqa.charts.common.kv_axis import KvAxis, significant
from qcqa.charts.common.palette import method_style
from qcqa.charts.fronts.comparison import BudgetPoint
from qcqa.charts.quality.series import source_of
from qcqa.measure.comparable import CLEAR_STANDARD_ERRORS, of_plan, paired_difference, rows_of_plans
from qcqa.measure.evaluation import Evaluation
from qcqa.plan.metric import RATIO, metric_of
from qcqa.plan.plan import Measurement
from qcqa.search.result import SearchResult

#: Said of a difference that was measured without what its standard error takes.
ERROR_NOT_KNOWN = "error not known"

#: Above this nobody reads percent.
_RATIO_AS_IT_IS = 10.0

_SIGNS = "+\N{MINUS SIGN}"

#: What came of a comparison: a difference, or why there is none.
Outcome = Literal["measured", "not measured", "same plan", "no plan", "other size"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What can be said of one method's plan at a budget beside another method's.

    Parameters
    ----------
    method, against : str
        The two methods.
    metric : str or None
        What was measured, if anything was.
    outcome : Outcome
        ``no plan`` where none of one method fits, ``other size`` where the two cache different
        numbers of heads, and then no figures are compared.
    kv_bits, against_bits : int or None
        What the two plans cache; None where none fits.
    difference : Measurement or None
        The first plan's figure less the second's. Its standard error is paired, and None where
        one of them was measured without what that takes.
    """

    method: str
    against: str
    metric: str | None
    outcome: Outcome
    kv_bits: int | None
    against_bits: int | None
    difference: Measurement | None = None

    @property
    def is_better(self) -> bool | None:
        """Whether the first plan is clearly better; None where nobody can tell."""
        return None if self.difference is None else is_better(self.difference)

    @property
    def other_is_larger(self) -> bool:
        """Whether the second plan caches more than the first."""
        mine, others = self.kv_bits, self.against_bits
        return mine is not None and others is not None and others > mine

    def sentence(self, axis: KvAxis) -> str:
        """Say it: ``QCQA-AC beats GQA by 2.1 ± 0.4 points at 50.0 %``.

        Parameters
        ----------
        axis : KvAxis
            Unit of sizes.
        """
        names = method_style(self.method).label, method_style(self.against).label
        if self.difference is None or self.kv_bits is None:
            return self._reason(*names, axis)
        size, amount = axis.text(self.kv_bits), difference_text(self.difference)
        if self.difference.standard_error is None:
            return f"{names[0]} beside {names[1]} at {size}: {amount}, {ERROR_NOT_KNOWN}"
        if self.is_better is None:
            return f"{names[0]} and {names[1]} do not differ clearly at {size}: {amount}"
        better, worse = names if self.is_better else names[::-1]
        return f"{better} beats {worse} by {amount.lstrip(_SIGNS)} at {size}"

    def words(self, axis: KvAxis) -> str:
        """Say it in as few words as a card or a cell has room for, beside the method's name."""
        if self.difference is not None:
            return difference_text(self.difference)
        other = method_style(self.against).label
        mine, others = self.kv_bits, self.against_bits
        if mine is None or others is None:
            lacking = other if others is None else method_style(self.method).label
            return f"{lacking} has no plan here"
        match self.outcome:
            case "same plan":
                return f"the same plan as {other}'s"
            case "other size" if self.other_is_larger:
                return f"{other}'s plan is larger: {axis.text(others)}"
            case "other size":
                return f"{other} has no plan of this size"
            case _:
                return "not both measured"

    def _reason(self, name: str, other: str, axis: KvAxis) -> str:
        """Say why there is no difference."""
        mine, others = self.kv_bits, self.against_bits
        if mine is None or others is None:
            return f"{name if mine is None else other} has no plan within this budget"
        size = axis.text(max(mine, others))
        match self.outcome:
            case "same plan":
                return f"{name} and {other} have the same plan at {size}"
            case "other size":
                # Nothing larger of it fits, or it would have been taken.
                lacking = name if mine < others else other
                smaller = axis.text(min(mine, others))
                return f"{lacking} has no plan of {size} (its largest here: {smaller})"
            case _:
                return f"{name} and {other} were not both measured at {size}"


def compare_methods(
    result: SearchResult,
    points: Mapping[str, BudgetPoint | None],
    rows: Iterable[Evaluation],
    metric: str | None,
    *,
    against: str = "gqa",
) -> dict[str, Comparison]:
    """Return what can be said of every method but the source beside one of them.

    Parameters
    ----------
    result : SearchResult
        Fronts of the methods.
    points : mapping from str to BudgetPoint or None
        The methods' plans at the budget; see
        :func:`~qcqa.charts.fronts.comparison.points_at_budget`.
    rows : iterable of Evaluation
        What was measured.
    metric : str or None
        The metric to compare by; without one nothing counts as measured.
    against : str
        The method to compare with.

    Returns
    -------
    dict of str to Comparison
        By method; empty where ``against`` was not searched.
    """
    if against not in points:
        return {}
    measured = rows_of_plans(rows, metric) if metric else {}
    other = points[against]

    def compared(method: str) -> Comparison:
        point = points[method]
        kv_bits = None if point is None else point.size
        others = None if other is None else other.size

        def comparison(outcome: Outcome, difference: Measurement | None = None) -> Comparison:
            return Comparison(method, against, metric, outcome, kv_bits, others, difference)

        if point is None or other is None:
            return comparison("no plan")
        if kv_bits != others:
            return comparison("other size")
        if is_same_plan(result, point, other):
            return comparison("same plan")
        ids = [(budget_point.method, budget_point.kv_bits) for budget_point in (point, other)]
        if metric is None or any(plan not in measured for plan in ids):
            return comparison("not measured")
        difference = paired_difference(measured[ids[0]], measured[ids[1]], metric)
        return comparison("not measured" if difference is None else "measured", difference)

    return {method: compared(method) for method in points if method not in ("mha", against)}


def differences_from_source(
    points: Mapping[str, BudgetPoint | None],
    rows: Iterable[Evaluation],
    metric: str,
    *,
    as_ratio: bool = False,
) -> dict[str, Measurement]:
    """Return each method's figure at the budget less the source's, where both were measured.

    Parameters
    ----------
    points, rows, metric
        As in :func:`compare_methods`.
    as_ratio : bool
        Whether a perplexity's is its ratio to the source's, if that was measured: paired, so that
        its standard error is its own.
    """
    measured = rows_of_plans(rows, metric)
    source = source_of(measured.values())
    differences = {}
    for method, point in points.items():
        row = of_plan(measured, (method, point.kv_bits)) if point else None
        if row is None or row.is_source or source is None:
            continue
        ratio = row.figure(f"{metric}{RATIO}") if as_ratio else None
        difference = ratio or paired_difference(row, source, metric)
        if difference is not None:
            differences[method] = difference
    return differences


def is_same_plan(result: SearchResult, first: BudgetPoint, second: BudgetPoint) -> bool:
    """Return whether two methods' plans make the same model."""
    if first.kv_bits != second.kv_bits:
        return False
    if first.kv_bits == result.spec.kv_bits:
        # Every head is kept, and there is nothing to merge.
        return True
    front, other_front = result.fronts[first.method], result.fronts[second.method]
    if (front.merge, front.refit) != (other_front.merge, other_front.refit):
        return False
    return front.plan_layers(first.index) == other_front.plan_layers(second.index)


def is_better(difference: Measurement) -> bool | None:
    """Return whether a difference is for the better; None where it may be chance or is unknown."""
    higher = metric_of(difference).higher_is_better
    error = difference.standard_error
    if higher is None or error is None or abs(difference.value) <= CLEAR_STANDARD_ERRORS * error:
        return None
    return (difference.value > 0) == higher


def difference_text(difference: Measurement) -> str:
    """Return a difference with its sign, and its standard error if known: ``+2.1 ± 0.4 points``.

    A ratio is told by how many percent it is above 1; where that is beyond measure, as it is.
    """
    metric, error = metric_of(difference), difference.standard_error
    value, unit = difference.value, metric.unit
    if metric.name.endswith(RATIO):
        if value >= _RATIO_AS_IT_IS:
            spread = f" \N{PLUS-MINUS SIGN} {significant(error)}" if error else ""
            return f"\N{MULTIPLICATION SIGN} {significant(value)}{spread}"
        value, error, unit = 100 * (value - 1), error and 100 * error, "%"
    if metric.is_share:
        # A digit more where one would say that the error is nothing.
        digits = 1 if error is None or error >= 0.0005 else 2
        number, unit = f"{100 * abs(value):.{digits}f}", "points"
        spread = f"{100 * (error or 0):.{digits}f}"
    else:
        number, spread = significant(abs(value)), significant(error or 0)
    is_zero = not number.strip("0.")
    sign = "" if is_zero else "+" if value > 0 else "\N{MINUS SIGN}"
    if error is None:
        return f"{sign}{number} {unit}".strip()
    return f"{sign}{number} \N{PLUS-MINUS SIGN} {spread} {unit}".strip()
