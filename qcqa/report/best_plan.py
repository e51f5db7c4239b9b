"""The plan that a search offers for a budget, and the figure that says most of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite

from qcqa.budget import heads_within_ratio
from qcqa.evaluated import Evaluated
from qcqa.metric import data_of, metric_of
from qcqa.report.comparison import BudgetPoint, points_at_budget
from qcqa.report.measured import (
    figures_of_plans,
    is_of_text,
    metrics_of,
    short_name,
    value_text,
)
from qcqa.report.palette import method_style
from qcqa.report.wording import ERROR_NAMES, error_text
from qcqa.search_result import SearchResult
from qcqa.use_cases.plan import best_method


@dataclass(frozen=True, slots=True)
class BestPlan:
    """One method's plan, by one figure.

    Parameters
    ----------
    method : str
        Name of the method.
    num_cached_heads : int
        What the plan caches.
    relative_wse : float
        Predicted, of the total.
    metric : str
        What ``value`` is: a measured metric, or the error that the search minimised.
    value : float
        The figure.
    is_measured : bool
        Whether it was measured on the plan's model, and is no prediction.
    text : str
        Method, metric and figure for people.
    """

    method: str
    num_cached_heads: int
    relative_wse: float
    metric: str
    value: float
    is_measured: bool
    text: str


def best_plan_within(
    result: SearchResult, rows: Iterable[Evaluated], kv_ratio: float
) -> BestPlan | None:
    """Return the plan to take within a budget, or None where none fits.

    Where the plans of all methods were measured, it is the best of them; otherwise that of
    :func:`best_method`, with its measured figure where it has one.

    Parameters
    ----------
    result : SearchResult
        Fronts of the methods.
    rows : iterable of Evaluated
        What was measured of its plans.
    kv_ratio : float
        Budget as a share of the source's cache.

    Raises
    ------
    BudgetError
        If the ratio is out of range.
    """
    heads = heads_within_ratio(result.spec, kv_ratio)
    points = [point for point in points_at_budget(result, heads).values() if point is not None]
    if not points:
        return None
    rows = list(rows)
    metric = _metric(rows)
    measured = figures_of_plans(rows, metric) if metric else {}
    figures = {
        point.method: figure.value
        for point in points
        if (figure := measured.get((point.method, point.num_cached_heads)))
        and isfinite(figure.value)
    }
    chosen = best_method(result, heads)
    if metric and len(figures) == len(points):
        higher = metric_of(metric).higher_is_better
        chosen = (max if higher else min)(figures, key=lambda method: figures[method])
    point = next(point for point in points if point.method == chosen)
    if metric and chosen in figures:
        # Of the texts a run is measured on there is mostly one; tasks are told by their names.
        data = "" if is_of_text(metric) else f"{short_name(data_of(metric))} "
        shown = f"{data}{metric_of(metric).label} {value_text(metric, figures[chosen])}"
        return _best(point, metric, figures[chosen], shown, is_measured=True)
    name, _ = ERROR_NAMES[point.fitness]
    shown = error_text(point.fitness, point.error)
    return _best(point, name, point.error, shown, is_measured=False)


def _best(
    point: BudgetPoint, metric: str, value: float, shown: str, *, is_measured: bool
) -> BestPlan:
    return BestPlan(
        method=point.method,
        num_cached_heads=point.num_cached_heads,
        relative_wse=point.relative_wse,
        metric=metric,
        value=value,
        is_measured=is_measured,
        text=f"{method_style(point.method).label}: {shown}",
    )


def _metric(rows: list[Evaluated]) -> str | None:
    """Return the measured metric to judge by, never of speed: accuracy on a text before others."""
    known = [name for name in metrics_of(rows) if is_of_text(name) or metric_of(name).is_share]
    accuracies = [name for name in known if name.endswith("/accuracy")]
    return next(iter(accuracies + known), None)
