"""From a search's fronts to the one plan for a budget."""

from qcqa.errors import BudgetError
from qcqa.methods.plans import best_plan
from qcqa.plan import GroupingPlan
from qcqa.search.config import SearchSettings
from qcqa.search_result import SearchResult
from qcqa.terms import Fitness

#: From what says most of a model's quality to what says least.
_CLOSENESS: tuple[Fitness, ...] = ("loss", "output-error", "wse")


def plan_of_result(
    result: SearchResult,
    max_cached_heads: int,
    *,
    method: str | None = None,
    settings: SearchSettings | None = None,
    run: str | None = None,
) -> GroupingPlan:
    """Return the best plan that fits a budget.

    Parameters
    ----------
    result : SearchResult
        Fronts of the methods.
    max_cached_heads : int
        K heads plus V heads over all layers; see :mod:`qcqa.budget`.
    method : str, optional
        Method whose front is asked; by default :func:`best_method`.
    settings, run : optional
        Settings of the search and id of its run, for the plan's provenance.

    Raises
    ------
    BudgetError
        If no plan fits, or the method was not searched.
    """
    chosen = method or best_method(result, max_cached_heads)
    provenance = {"run": run} if run else {}
    return best_plan(
        result.front(chosen),
        result.grams,
        max_cached_heads,
        settings=settings,
        bound=result.bound,
        error_bound=result.error_bound,
        provenance=provenance,
        calibration=result.calibration,
    )


def best_method(result: SearchResult, max_cached_heads: int) -> str:
    """Return the method with the smallest error within the budget; of equals the first.

    Where methods minimised different things, what is closest to the model's quality counts: the
    loss before the error of the attention's output, and that before WSE.

    Raises
    ------
    BudgetError
        If no plan of any method fits.
    """
    errors = {
        name: (_CLOSENESS.index(front.fitness), float(front.error[index]))
        for name, front in result.fronts.items()
        if (index := front.within(max_cached_heads)) is not None
    }
    if not errors:
        source = result.spec.num_cached_heads
        smallest = min(int(front.cost[0]) for front in result.fronts.values())
        raise BudgetError(
            f"a budget of {max_cached_heads} cached heads "
            f"(KV ratio {max_cached_heads / source:.4g})",
            expected=f"at least {smallest} (KV ratio {smallest / source:.4g}): "
            "one K and one V head a layer",
        )
    return min(errors, key=lambda name: errors[name])
