"""From a search's fronts to the one plan for a budget."""

from collections.abc import Iterable
from typing import Any

from qcqa.measure.evaluation import Evaluation
from qcqa.pick.best import best_method
from qcqa.plan.plan import Plan
from qcqa.search.plans import best_plan
from qcqa.search.result import SearchResult
from qcqa.search.strategy.config import SearchSettings


def plan_of_result(
    result: SearchResult,
    max_kv_bits: int,
    *,
    method: str | None = None,
    rows: Iterable[Evaluation] = (),
    settings: SearchSettings | None = None,
    run: str | None = None,
) -> Plan:
    """Return the best plan that fits a budget.

    Parameters
    ----------
    result : SearchResult
        Fronts of the methods.
    max_kv_bits : int
        Bits of the KV cache per token; see :mod:`qcqa.plan.budget`.
    method : str, optional
        Method whose front is asked; by default that of :func:`~qcqa.pick.best.best_method`,
        whose ground then stands in the plan's provenance as ``chosen``.
    rows : iterable of Evaluation
        What was measured of the result's plans: it decides which method is the best.
    settings, run : optional
        Settings of the search and id of its run, for the plan's provenance.

    Raises
    ------
    BudgetError
        If no plan fits, or the method was not searched.
    """
    provenance: dict[str, Any] = {"run": run} if run else {}
    if method is None:
        best = best_method(result, max_kv_bits, rows)
        method, provenance["chosen"] = best.method, best.to_json()
    return best_plan(
        result.front(method),
        result.grams,
        max_kv_bits,
        settings=settings,
        bound=result.bound,
        error_bound=result.error_bound,
        provenance=provenance,
        calibration=result.calibration,
    )
