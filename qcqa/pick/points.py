"""Which plans of a search are measured: points, each the best plan of a method for a budget."""

from collections.abc import Iterable

from qcqa.pick.plan import plan_of_result
from qcqa.plan.budget import bits_of_point, bits_within_ratio
from qcqa.plan.plan import Plan
from qcqa.search.result import SearchResult

#: Methods and budgets in bits per token: K heads plus V heads over all layers.
Points = tuple[tuple[str, int], ...]


def points_at(
    result: SearchResult, max_kv_bits: int, *, methods: Iterable[str] | None = None
) -> Points:
    """Return the methods that have a plan within a budget; not MHA, which is the source.

    Parameters
    ----------
    result : SearchResult
        Fronts of the methods.
    max_kv_bits : int
        Bits of the KV cache per token; see :mod:`qcqa.plan.budget`.
    methods : iterable of str, optional
        Only these; all that were searched by default.

    Raises
    ------
    BudgetError
        If one of ``methods`` was not searched.
    """
    wanted = result.fronts if methods is None else methods
    fronts = [result.front(method) for method in wanted if method != "mha"]
    return tuple(
        front.point(max_kv_bits) for front in fronts if front.within(max_kv_bits) is not None
    )


def points_along(
    result: SearchResult, kv_ratios: Iterable[float], *, methods: Iterable[str] | None = None
) -> Points:
    """Return the methods' points at every budget; the same plan of a method comes once.

    Its budget is then the smallest of those that it is the best for.

    Parameters
    ----------
    result : SearchResult
        Fronts of the methods.
    kv_ratios : iterable of float
        Budgets as shares of the source's cache.
    methods : iterable of str, optional
        Only these; all that were searched by default.

    Raises
    ------
    BudgetError
        If a ratio is out of range, or one of ``methods`` was not searched.
    """
    only = None if methods is None else tuple(methods)
    points = {
        (point[0], result.front(point[0]).within(kv_bits)): point
        for ratio in sorted(set(kv_ratios), reverse=True)
        for kv_bits in [bits_within_ratio(result.spec, ratio)]
        for point in points_at(result, kv_bits, methods=only)
    }
    return tuple(sorted(points.values(), key=lambda point: -point[1]))


def points_to_compare(result: SearchResult, max_kv_bits: int, recommended: str) -> Points:
    """Return the method to recommend within a budget, and GQA: what is worth seeing side by side.

    Parameters
    ----------
    result : SearchResult
        Fronts of the methods.
    max_kv_bits : int
        Bits of the KV cache per token; see :mod:`qcqa.plan.budget`.
    recommended : str
        The method; see :func:`~qcqa.pick.best.best_method`.
    """
    methods = dict.fromkeys((recommended, "gqa"))
    known = [method for method in methods if method in result.fronts]
    return points_at(result, max_kv_bits, methods=known)


def plan_of_point(result: SearchResult, point: tuple[str, int]) -> Plan:
    """Return the plan of a point, whose budget may be that of an older release.

    Raises
    ------
    BudgetError
        If the method was not searched, or has no plan within its budget.
    """
    method, budget = point
    return plan_of_result(result, bits_of_point(result.spec, budget), method=method)


def plans_of_points(result: SearchResult, points: Points) -> list[Plan]:
    """Return the plans of points, each once, from the largest cache down; none for MHA.

    Parameters
    ----------
    result : SearchResult
        Fronts of the methods.
    points : tuple of (str, int)
        See above.

    Raises
    ------
    BudgetError
        If a method was not searched, or has no plan within its budget.
    """
    plans = [plan_of_point(result, point) for point in points if point[0] != "mha"]
    unique = {(plan.method, plan.digest): plan for plan in plans}
    return sorted(unique.values(), key=lambda plan: (-plan.kv_ratio, plan.predicted.wse))
