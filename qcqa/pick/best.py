"""Whose plan is the best within a budget, and on which ground: one answer for all that ask.

What was measured decides before what the search predicts, and of predictions the one that is
closest to the model's quality: measured loss before the error of the attention's output, and that
before WSE. Plans of different sizes compete: the best *within* the budget is asked for.

* Figures are compared under the same conditions only, and small samples decide nothing. Of several
  figures it is the one that most of the searched plans have; then accuracy on a text before others.
* Of plans whose figures differ from the best by no more than two standard errors of their
  difference, closeness to the source and then perplexity on the same text decide, where they part
  them. What then is still equal is named beside the best; of equal figures it is the plan with the
  smaller cache, then the first method.
  A figure whose error is not known decides nothing.
* Where only some of the plans were measured, the best of them is taken, with one exception: the
  plan that the search predicts to be the best of all was not measured, and either it was chosen by
  a fitness closer to quality, or both were judged by measured losses, which are of one scale, or
  nothing but baselines (MHA, GQA, MQA) was measured, which says nothing of what was searched.
  There the prediction decides.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import hypot, isfinite

from qcqa.errors import BudgetError
from qcqa.measure.comparable import (
    CLEAR_STANDARD_ERRORS,
    Conditions,
    conditions_of,
    is_of_text,
    is_small,
    paired_difference,
    rows_under,
    text_label,
)
from qcqa.measure.evaluation import Evaluation
from qcqa.pick.ground import BestMethod
from qcqa.plan.metric import DIFFERENCE, data_label, data_of, measurement_name, metric_of
from qcqa.plan.plan import Measurement
from qcqa.reduce.terms import Fitness
from qcqa.search.method_sets import BASELINES
from qcqa.search.methods import METHODS
from qcqa.search.result import SearchResult

#: From what says most of a model's quality to what says least.
_CLOSENESS: tuple[Fitness, ...] = ("loss", "output-error", "wse")

#: Of figures that as many plans have, the first decides; those of tasks come after them.
_TELLING = ("accuracy", "perplexity", "nll", "kl", "same_top")

#: Of plans that a figure of a text does not part, the first of these that does decides: they
#: differ less from token to token.
_PARTING = ("kl", "perplexity")

#: Relative difference below which two predicted errors are one and the same.
_EQUAL = 1e-9


def best_method(
    result: SearchResult, max_kv_bits: int, rows: Iterable[Evaluation] = ()
) -> BestMethod:
    """Return whose plan is the best within a budget, and on which ground.

    Parameters
    ----------
    result : SearchResult
        Fronts of the methods.
    max_kv_bits : int
        Bits of the KV cache per token; see :mod:`qcqa.plan.budget`.
    rows : iterable of Evaluation
        What was measured of its plans.

    Raises
    ------
    BudgetError
        If no plan of any method fits.
    """
    plans = _plans_within(result, max_kv_bits)
    predicted, *alike = _best_predicted(plans)
    every = tuple(rows)
    larger = _measured_methods(plans, (row for row in every if not row.is_at_size))
    comparison = _comparison(plans, tuple(row for row in every if row.is_at_size))
    if comparison is None:
        return BestMethod(
            predicted,
            plans[predicted].fitness,
            equals=tuple(alike),
            unmeasured=tuple(plans),
            in_larger_caches=larger,
            has_other_figures=bool(every),
        )
    close = comparison.best(plans)
    (best, *equals), parted_by = comparison.parted(close, plans)
    measured = tuple(name for name in plans if name in comparison.figures)
    unmeasured = tuple(name for name in plans if name not in comparison.figures)
    in_larger_caches = tuple(name for name in larger if name in unmeasured)
    if (
        predicted in unmeasured
        and plans[predicted].is_before(plans[best])
        and (
            plans[predicted].closeness < plans[best].closeness
            or plans[predicted].fitness == plans[best].fitness == "loss"
            or set(measured) <= set(BASELINES)
        )
    ):
        return BestMethod(
            predicted,
            plans[predicted].fitness,
            equals=tuple(alike),
            measured=measured,
            unmeasured=unmeasured,
            in_larger_caches=in_larger_caches,
        )
    return BestMethod(
        best,
        "measured",
        metric=comparison.metric,
        value=comparison.figures[best].value,
        data=comparison.data,
        equals=tuple(equals),
        parted_by=parted_by,
        parted_from=tuple(name for name in close if name not in (best, *equals)),
        measured=measured,
        unmeasured=unmeasured,
        in_larger_caches=in_larger_caches,
    )


@dataclass(frozen=True, slots=True)
class _Plan:
    """One method's plan within the budget, and what its search says of it."""

    kv_bits: int
    size: int
    fitness: Fitness
    error: float
    merge: str

    @property
    def closeness(self) -> int:
        """How close its fitness is to quality: the lower the closer."""
        return _CLOSENESS.index(self.fitness)

    def is_before(self, other: "_Plan") -> bool:
        """Whether it is predicted to be better."""
        if self.closeness != other.closeness:
            return self.closeness < other.closeness
        return self.error < other.error - _EQUAL * abs(other.error)


@dataclass(frozen=True, slots=True)
class _Comparison:
    """One figure of some of the plans, all under the same conditions."""

    metric: str
    conditions: Conditions
    rows: Mapping[str, Evaluation]

    @property
    def figures(self) -> Mapping[str, Measurement]:
        """The figure of each method's plan, where it rests on enough and its error is known."""
        found = {name: row.figure(self.metric) for name, row in self.rows.items()}
        return {
            name: figure
            for name, figure in found.items()
            if figure is not None and _decides(figure)
        }

    @property
    def data(self) -> str:
        """On what it was measured, for people."""
        if self.conditions.text:
            return text_label(self.conditions.text)
        return data_label(data_of(self.metric))

    @property
    def order(self) -> tuple[int, bool, int, int, int]:
        """Smaller the better it serves: most searched plans, metric, most plans, samples."""
        name = metric_of(self.metric).name
        is_telling = is_of_text(self.metric) and name in _TELLING
        place = _TELLING.index(name) if is_telling else len(_TELLING)
        samples = min(figure.sample_count or 0 for figure in self.figures.values())
        searched = len(set(self.figures) - set(BASELINES))
        return -searched, len(self.figures) < 2, place, -len(self.figures), -samples

    def best(self, plans: Mapping[str, _Plan]) -> list[str]:
        """Return the best method, and then those that are not clearly worse."""
        sign = 1 if metric_of(self.metric).higher_is_better else -1
        names = [name for name in plans if name in self.figures]
        first, *others = sorted(
            names, key=lambda name: (-sign * self.figures[name].value, plans[name].size)
        )
        return [first, *(name for name in others if self._is_as_good(first, name))]

    def parted(self, alike: list[str], plans: Mapping[str, _Plan]) -> tuple[list[str], str | None]:
        """Return the best of plans that this figure does not part, and which other does."""
        for name in _PARTING if is_of_text(self.metric) else ():
            other = replace(self, metric=measurement_name(data_of(self.metric), name))
            if set(alike) <= set(other.figures):
                kept = other.best({method: plans[method] for method in alike})
                if len(kept) < len(alike):
                    return kept, other.metric
        return alike, None

    def _is_as_good(self, first: str, name: str) -> bool:
        behind = paired_difference(self.rows[first], self.rows[name], self.metric)
        if behind is None:
            return False
        return abs(behind.value) <= CLEAR_STANDARD_ERRORS * self._error(first, name, behind)

    def _error(self, first: str, second: str, difference: Measurement) -> float:
        """Return the standard error of a difference; without samples a cautious one."""
        if difference.standard_error is not None:
            return difference.standard_error
        # All were compared with the source sample by sample: surer than the figures alone.
        each = (
            row.figure(self.metric + DIFFERENCE) or row.figure(self.metric)
            for row in (self.rows[first], self.rows[second])
        )
        return hypot(*(figure.standard_error or 0.0 for figure in each if figure))


def _plans_within(result: SearchResult, max_kv_bits: int) -> dict[str, _Plan]:
    """Return the plan of every method that has one; searched methods before baselines.

    Raises
    ------
    BudgetError
        If none has.
    """
    if not result.fronts:
        raise BudgetError(
            "no plan of any method is there yet", remedy="wait for the search, or resume it"
        )
    plans = {}
    for name in sorted(result.fronts, key=lambda name: (name in BASELINES, _place(name))):
        front = result.fronts[name]
        index = front.within(max_kv_bits)
        if index is not None:
            cost, size = int(front.cost[index]), int(front.size[index])
            error = float(front.error[index])
            plans[name] = _Plan(cost, size, front.fitness, error, front.merge)
    if not plans:
        source = result.spec.kv_bits
        smallest = min(int(front.size.min()) for front in result.fronts.values())
        raise BudgetError(
            f"a budget of {100 * max_kv_bits / source:.4g} % of the KV cache",
            expected=f"at least {100 * smallest / source:.4g} %, the smallest plan of all methods",
        )
    return plans


def _measured_methods(plans: Mapping[str, _Plan], rows: Iterable[Evaluation]) -> tuple[str, ...]:
    """Return the methods whose plans some rows are of."""
    known = {(row.method, row.kv_bits) for row in rows}
    return tuple(name for name, plan in plans.items() if (name, plan.kv_bits) in known)


def _best_predicted(plans: Mapping[str, _Plan]) -> list[str]:
    """Return the method that is predicted best and those that are as good, smaller caches first."""
    equals = [
        name for name in plans if not any(plan.is_before(plans[name]) for plan in plans.values())
    ]
    return sorted(equals, key=lambda name: plans[name].size)


def _comparison(plans: Mapping[str, _Plan], rows: tuple[Evaluation, ...]) -> _Comparison | None:
    """Return the figure to decide by, or None where there is none."""
    sizes = {name: plan.kv_bits for name, plan in plans.items()}
    plan_rows = [row for row in rows if sizes.get(row.method) == row.kv_bits]
    # Of several merges it is the method's own: the last counts.
    plan_rows.sort(key=lambda row: row.merge == plans[row.method].merge)
    names = dict.fromkeys(figure.metric for row in plan_rows for figure in row.measured)
    found = [
        comparison
        for metric in names
        if _is_of_quality(metric)
        for conditions in conditions_of(plan_rows, metric)
        if (comparison := _compared(plan_rows, metric, conditions)).figures
    ]
    return min(found, key=lambda comparison: comparison.order, default=None)


def _compared(rows: list[Evaluation], metric: str, conditions: Conditions) -> _Comparison:
    """Return one figure of the plans, of those that have it."""
    by_method = {
        row.method: row
        for row in rows_under(rows, metric, conditions)
        if (figure := row.figure(metric)) and _decides(figure)
    }
    return _Comparison(metric, conditions, by_method)


def _decides(figure: Measurement) -> bool:
    """Return whether a figure says enough to choose by."""
    is_known = isfinite(figure.value) and figure.standard_error is not None
    return is_known and not is_small(figure)


def _is_of_quality(metric: str) -> bool:
    """Return whether a figure is one of quality, of which it is known what is better."""
    kind = metric_of(metric)
    is_quality = is_of_text(metric) or (kind.is_share and not kind.name.endswith(DIFFERENCE))
    return is_quality and kind.higher_is_better is not None


def _place(method: str) -> int:
    names = list(METHODS)
    return names.index(method) if method in names else len(names)
