"""The measured figure of each method's plan at the budget, where its model was measured."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from qcqa.charts.fronts.comparison import BudgetPoint
from qcqa.charts.fronts.equal_bytes import differences_from_source
from qcqa.charts.quality.series import value_text
from qcqa.measure.comparable import figures_of_plans, of_plan
from qcqa.measure.evaluation import Evaluation
from qcqa.plan.metric import metric_of
from qcqa.plan.plan import Measurement


@dataclass(frozen=True, slots=True)
class PlanFigure:
    """One measured figure, as texts.

    Parameters
    ----------
    label : str
        What was measured.
    number : float
        The figure.
    value, bare : str
        It with its unit, and without where that is no percentage.
    error : str
        Its standard error with the unit, may be empty.
    from_source : Measurement or None
        This figure less the source's, paired, or a perplexity over the source's; None where the
        source was not measured.
    read_bits : int or None
        Bits of the cache per token where it was measured, if that depends on the context.
    """

    label: str
    number: float
    value: str
    bare: str
    error: str
    from_source: Measurement | None = None
    read_bits: int | None = None


def figures_at(
    points: Mapping[str, BudgetPoint | None], rows: Iterable[Evaluation], metric: str, label: str
) -> dict[str, PlanFigure]:
    """Return the figures of the plans at the budget by method; only those that were measured.

    Parameters
    ----------
    points : mapping from str to BudgetPoint or None
        The methods' plans at the budget.
    rows : iterable of Evaluation
        What was measured.
    metric, label : str
        Which figure, and what it is called.
    """
    rows = tuple(rows)
    measured = figures_of_plans(rows, metric)
    from_source = differences_from_source(points, rows, metric, as_ratio=True)
    read = {(row.method, row.kv_bits): row.read_bits for row in rows}
    figures = {}
    for method, point in points.items():
        figure = of_plan(measured, (method, point.kv_bits)) if point else None
        if figure is not None:
            unit = metric_of(metric).unit
            value, error = value_text(metric, figure.value), figure.standard_error
            figures[method] = PlanFigure(
                label=label,
                number=figure.value,
                value=value,
                bare=value.removesuffix(f" {unit}") if unit else value,
                # Of a percentage it is in points.
                error=value_text(metric, error).replace("%", "points") if error else "",
                from_source=from_source.get(method),
                read_bits=read.get((method, point.kv_bits)) if point else None,
            )
    return figures
