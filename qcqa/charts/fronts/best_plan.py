"""The plan that a search offers for a budget, and the figure that says most of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite, isnan

from qcqa.charts.common.palette import method_style
from qcqa.charts.common.wording import ERROR_NAMES, error_text
from qcqa.charts.fronts.comparison import BudgetPoint, points_at_budget
from qcqa.charts.quality.series import metrics_of, short_name, value_text
from qcqa.measure.comparable import figures_of_plans, is_of_text, is_small
from qcqa.measure.evaluation import Evaluation
from qcqa.pick.best import best_method
from qcqa.plan.budget import bits_within_ratio
from qcqa.plan.metric import data_of, metric_of
from qcqa.plan.plan import Measurement
from qcqa.search.result import SearchResult


@dataclass(frozen=True, slots=True)
class BestPlan:
    """One method's plan, by one figure.

    Parameters
    ----------
    method : str
        Name of the method.
    kv_bits : int
        What the plan caches.
    relative_wse : float or None
        Predicted, of the total.
    metric : str
        What ``value`` is: a measured metric, or the error that the search minimised.
    value : float
        The figure.
    is_measured : bool
        Whether it was measured on the plan's model, and is no prediction.
    text : str
        Method, metric and figure for people.
    ground : str
        What says that it is the best; see :class:`~qcqa.pick.ground.BestMethod`.
    """

    method: str
    kv_bits: int
    relative_wse: float | None
    metric: str
    value: float
    is_measured: bool
    text: str
    ground: str


def best_plan_within(
    result: SearchResult, rows: Iterable[Evaluation], kv_ratio: float
) -> BestPlan | None:
    """Return the plan of :func:`best_method` within a budget, or None where none fits.

    Parameters
    ----------
    result : SearchResult
        Fronts of the methods.
    rows : iterable of Evaluation
        What was measured of its plans.
    kv_ratio : float
        Budget as a share of the source's cache.

    Raises
    ------
    BudgetError
        If the ratio is out of range.
    """
    kv_bits = bits_within_ratio(result.spec, kv_ratio)
    points = points_at_budget(result, kv_bits)
    if not any(points.values()):
        return None
    rows = list(rows)
    best = best_method(result, kv_bits, rows)
    point = points[best.method]
    assert point is not None
    metric, value, note = best.metric, best.value, ""
    if metric is None and (small := _small_figure(rows, point)) is not None:
        # It decides nothing, but is more than a prediction.
        metric, value, note = small.metric, small.value, " (small sample)"
    is_measured = metric is not None and value is not None
    if metric is not None and value is not None:
        # Of the texts a run is measured on there is mostly one; tasks are told by their names.
        data = "" if is_of_text(metric) else f"{short_name(data_of(metric))} "
        shown = f"{data}{metric_of(metric).label} {value_text(metric, value)}{note}"
    else:
        metric, _ = ERROR_NAMES[point.fitness]
        value, shown = point.error, error_text(point.fitness, point.error)
    return BestPlan(
        method=best.method,
        kv_bits=point.kv_bits,
        relative_wse=None if isnan(point.relative_wse) else point.relative_wse,
        metric=metric,
        value=value,
        is_measured=is_measured,
        text=f"{method_style(best.method).label}: {shown}",
        ground=best.ground,
    )


def _small_figure(rows: list[Evaluation], point: BudgetPoint) -> Measurement | None:
    """Return what was measured of a plan on a small sample, accuracy on a text before others."""
    known = [name for name in metrics_of(rows) if is_of_text(name) or metric_of(name).is_share]
    for name in sorted(known, key=lambda name: not name.endswith("/accuracy")):
        figure = figures_of_plans(rows, name).get((point.method, point.kv_bits))
        if figure is not None and is_small(figure) and isfinite(figure.value):
            return figure
    return None
