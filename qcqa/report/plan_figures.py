"""The measured figure of each method's plan at the budget, where its model was measured."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import hypot, isfinite

from qcqa.evaluated import Evaluated
from qcqa.metric import metric_of
from qcqa.report.comparison import BudgetPoint
from qcqa.report.measured import (
    STANDARD_ERRORS,
    change_text,
    figures_of_plans,
    rows_under,
    source_of,
    value_text,
)
from qcqa.report.palette import method_style
from qcqa.report.wording import in_sentence, listed


@dataclass(frozen=True, slots=True)
class PlanFigure:
    """One measured figure, as texts.

    Parameters
    ----------
    label : str
        What was measured.
    number : float
        The figure.
    standard_error : float
        Of it; 0 where it is not known.
    value, error : str
        The same two with their unit; the error may be empty.
    source_value, change : str or None
        The source's figure, and this one less it, with its sign; None where it was not measured.
    lower_is_better : bool or None
        None where nobody knows.
    """

    label: str
    number: float
    standard_error: float
    value: str
    error: str
    source_value: str | None = None
    change: str | None = None
    lower_is_better: bool | None = None


def figures_at(
    points: Mapping[str, BudgetPoint | None], rows: Iterable[Evaluated], metric: str, label: str
) -> dict[str, PlanFigure]:
    """Return the figures of the plans at the budget by method; only those that were measured.

    Parameters
    ----------
    points : mapping from str to BudgetPoint or None
        The methods' plans at the budget.
    rows : iterable of Evaluated
        What was measured.
    metric, label : str
        Which figure, and what it is called.
    """
    rows = tuple(rows)
    measured = figures_of_plans(rows, metric)
    source = source_of(rows_under(rows, metric))
    of_source = source.figure(metric) if source else None
    higher = metric_of(metric).higher_is_better
    figures = {}
    for method, point in points.items():
        figure = measured.get((method, point.num_cached_heads)) if point else None
        if figure is not None:
            error = figure.standard_error or 0.0
            figures[method] = PlanFigure(
                label=label,
                number=figure.value,
                standard_error=error,
                value=value_text(metric, figure.value),
                error=value_text(metric, error) if error else "",
                source_value=value_text(metric, of_source.value) if of_source else None,
                change=change_text(metric, figure.value - of_source.value) if of_source else None,
                lower_is_better=None if higher is None else not higher,
            )
    return figures


def best_measured(
    points: Mapping[str, BudgetPoint | None], figures: Mapping[str, PlanFigure], metric: str
) -> str | None:
    """Say in one sentence whose plan is best by measurement.

    None unless the plans of all methods that fit the budget were measured.
    """
    higher = metric_of(metric).higher_is_better
    fitting = [method for method, point in points.items() if point is not None]
    known = {name: one for name, one in figures.items() if isfinite(one.number)}
    if higher is None or len(fitting) < 2 or set(known) != set(fitting):
        return None
    ranked = sorted(known.items(), key=lambda one: one[1].number, reverse=higher)
    best = ranked[0][1]
    ways = [name for name, one in ranked if one.number == best.number]
    if len(ways) == len(ranked):
        return None
    following = ranked[len(ways)][1]
    # Cautious: both had the same samples, so that their difference is surer than this.
    error = STANDARD_ERRORS * hypot(best.standard_error, following.standard_error)
    is_close = abs(best.number - following.number) <= error
    names = listed([f"**{method_style(name).label}**" for name in ways])
    verb = "have" if len(ways) > 1 else "has"
    extreme = "highest" if higher else "lowest"
    return (
        f"Measured, {names} {verb} the {extreme} {in_sentence(best.label)}: {best.value}"
        f"{', but not by a clear margin' if is_close else ''}."
    )
