"""What ``qcqa compare`` says of measured plans: beside GQA's of equal bytes, and the source."""

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any

from qcqa.charts.fronts.comparison import points_at_budget
from qcqa.charts.fronts.equal_bytes import (
    Comparison,
    compare_methods,
    difference_text,
    differences_from_source,
)
from qcqa.charts.fronts.headline import shown_names
from qcqa.charts.quality.measurements import pieces_text
from qcqa.charts.quality.series import main_metric, metrics_of, value_text
from qcqa.cli.output import console, print_table
from qcqa.measure.comparable import conditions_of, figures_of_plans, of_plan, rows_under
from qcqa.measure.evaluation import Evaluation
from qcqa.plan.plan import Measurement
from qcqa.search.result import SearchResult

_NO_DIFFERENCE = {
    "no plan": "no plan",
    "other size": "no plan",
    "same plan": "same plan",
    "not measured": "not measured",
}


def print_measured_comparison(
    result: SearchResult,
    max_kv_bits: Mapping[float, int],
    rows: Iterable[Evaluation],
) -> None:
    """Print for every budget what was measured of its plans; nothing where nothing was.

    Parameters
    ----------
    result : SearchResult
        Fronts of the methods.
    max_kv_bits : mapping from float to int
        Budgets by their ratio.
    rows : iterable of Evaluation
        What was measured.
    """
    rows = list(rows)
    metric = main_metric(rows)
    if metric is None:
        console.print("Nothing is measured: these are estimates.", style="dim")
        return
    figures = figures_of_plans(rows, metric)
    conditions = conditions_of(rows, metric)[0]
    lines: list[dict[str, str]] = []
    for ratio, kv_bits in max_kv_bits.items():
        points = points_at_budget(result, kv_bits)
        beside = compare_methods(result, points, rows, metric)
        from_source = differences_from_source(points, rows, metric, as_ratio=True)
        first = True
        for method, name in shown_names(result, points).items():
            point = points[method]
            if point is None:
                continue
            figure = of_plan(figures, (method, point.kv_bits))
            lines.append(
                {
                    "budget": f"{ratio:.4g}" if first else "",
                    "method": name,
                    "KV ratio": f"{point.kv_ratio:.3f}",
                    "measured": value_text(metric, figure.value) if figure else "not measured",
                    "against GQA": _beside(beside.get(method)),
                    "against the source": _signed(from_source.get(method)),
                }
            )
            first = False
    console.print(f"\nMeasured: {metrics_of(rows)[metric]}", style="bold", highlight=False)
    console.print(conditions.label, style="dim", markup=False, highlight=False)
    print_table(lines)
    console.print(
        "Differences are paired, with one standard error; without one it is not known.\n"
        "No plan: GQA has none of that size. Larger: its plan here caches more.",
        style="dim",
    )
    if note := pieces_text(rows_under(rows, metric)):
        console.print(note, style="dim")


def measured_json(
    result: SearchResult, kv_bits: int, rows: Iterable[Evaluation]
) -> dict[str, list[dict[str, Any]]]:
    """Return by method what was measured of its plan at a budget, as JSON values.

    Parameters
    ----------
    result : SearchResult
        Fronts of the methods.
    heads : int
        The budget in bits per token.
    rows : iterable of Evaluation
        What was measured.
    """
    rows = list(rows)
    points = points_at_budget(result, kv_bits)
    by_method: dict[str, list[dict[str, Any]]] = {method: [] for method in points}
    for metric in metrics_of(rows):
        figures = figures_of_plans(rows, metric)
        conditions = conditions_of(rows, metric)[0]
        beside = compare_methods(result, points, rows, metric)
        from_source = differences_from_source(points, rows, metric)
        for method, point in points.items():
            figure = of_plan(figures, (method, point.kv_bits)) if point else None
            if figure is None or not isfinite(figure.value):
                continue
            compared = beside.get(method)
            by_method[method].append(
                {
                    "metric": metric,
                    "value": figure.value,
                    "standard_error": figure.standard_error,
                    "sample_count": figure.sample_count,
                    "conditions": conditions.label,
                    "against_gqa": _difference_json(compared.difference if compared else None),
                    "against_source": _difference_json(from_source.get(method)),
                }
            )
    return by_method


def _difference_json(difference: Measurement | None) -> dict[str, float | None] | None:
    if difference is None:
        return None
    return {"difference": difference.value, "standard_error": difference.standard_error}


def _beside(comparison: Comparison | None) -> str:
    if comparison is None:
        return ""
    if comparison.difference is not None:
        return difference_text(comparison.difference)
    return "larger" if comparison.other_is_larger else _NO_DIFFERENCE[comparison.outcome]


def _signed(difference: Measurement | None) -> str:
    return "" if difference is None else difference_text(difference)
