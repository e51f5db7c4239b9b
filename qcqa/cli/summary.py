"""What several commands print of a search: the comparison of its methods, its fronts, a plan."""

from collections.abc import Iterable, Mapping
from math import isfinite, isnan
from typing import Any

from rich.box import SIMPLE
from rich.table import Table

from qcqa.charts.common.palette import method_style
from qcqa.charts.fronts.comparison import (
    BudgetPoint,
    comparison_table,
    percent_text,
    points_at_budget,
)
from qcqa.charts.fronts.equal_bytes import Comparison, compare_methods
from qcqa.charts.fronts.headline import shown_names
from qcqa.cli.measured_comparison import measured_json, print_measured_comparison
from qcqa.cli.output import console
from qcqa.measure.evaluation import Evaluation
from qcqa.plan.budget import CacheLoad, bits_within_ratio
from qcqa.plan.plan import Plan
from qcqa.reduce.picture import SitePicture
from qcqa.reduce.terms import Fitness
from qcqa.search.result import SearchResult

_RATIOS = (0.75, 0.5, 0.25, 0.125)

#: Heading and note of what a search may minimise in place of WSE.
_TITLES: dict[Fitness, str] = {
    "loss": "summed\nrise of\nthe loss",
    "output-error": "relative\noutput\nerror",
}
_NOTES: dict[Fitness, str] = {
    "loss": "Summed rise of the loss: measured on calibration text with one layer merged at a "
    "time, and summed over the layers, nats per token. A whole plan may lose far more.",
    "output-error": "Output error: of the attention's output on calibration text.",
}


def print_result(result: SearchResult, rows: Iterable[Evaluation] = ()) -> None:
    """Print a search's methods side by side at a few budgets, for one sequence of 4096 tokens."""
    load = CacheLoad(context_tokens=4096, batch_size=1, dtype=result.spec.dtype)
    budgets = {ratio: bits_within_ratio(result.spec, ratio) for ratio in _RATIOS}
    print_comparison(result.at(load), budgets, load, rows)


def print_comparison(
    result: SearchResult,
    max_kv_bits: Mapping[float, int],
    load: CacheLoad,
    rows: Iterable[Evaluation] = (),
) -> None:
    """Print a table of all methods for every budget, by its ratio, and what was measured."""
    console.print(
        f"[bold]{result.spec.source}[/bold]  KV cache of the source: "
        f"{load.cache_gib(result.spec, result.spec.kv_bits):.4g} GiB at "
        f"{load.context_tokens} tokens x {load.batch_size}, {load.dtype}"
    )
    table = Table(box=SIMPLE, header_style="bold", padding=(0, 1), collapse_padding=True)
    for name in ("budget", "method"):
        table.add_column(name, no_wrap=True)
    # What another fitness says takes the place of the plain WSE: a terminal is 80 wide.
    others = sorted({front.fitness for front in result.fronts.values()} - {"wse"})
    title = "WSE" if not others else _TITLES[others[0]] if len(others) == 1 else "own\nerror"
    for name in ("KV\nratio", "GiB", title, "relative\nWSE", "vs GQA", "above\nbound"):
        table.add_column(name, justify="right", no_wrap=True)
    for ratio, kv_bits in max_kv_bits.items():
        points = points_at_budget(result, kv_bits)
        beside = compare_methods(result, points, (), None)
        names = shown_names(result, points) | {"mha": method_style("mha", result.spec).label}
        fitting = [point for name in names if (point := points.get(name)) is not None]
        for point in fitting:
            table.add_row(
                f"{ratio:.4g}" if point is fitting[0] else "",
                names[point.method],
                f"{point.kv_ratio:.3f}",
                f"{load.cache_gib(result.spec, point.size):.3g}",
                _error_text(point) if others else f"{point.wse:.5g}",
                "" if isnan(point.relative_wse) else f"{point.relative_wse:.4f}",
                _beside_gqa(point, beside.get(point.method)),
                _above_bound(point),
            )
        if not fitting:
            table.add_row(f"{ratio:.4g}", "none fits")
        table.add_section()
    console.print(table)
    for fitness in others:
        console.print(_NOTES[fitness], style="dim")
    console.print(
        "WSE, weight-sharing error: lower is better; not an accuracy.\n"
        "No grouping that treats keys and values alike can come below the bound.\n"
        "vs GQA: by WSE, an estimate. No plan: GQA has none of that size. Larger: its\n"
        "plan here caches more.",
        style="dim",
    )
    print_measured_comparison(result, max_kv_bits, rows)


def _beside_gqa(point: BudgetPoint, comparison: Comparison | None) -> str:
    if comparison is None:
        return ""
    if comparison.outcome == "same plan":
        return "same"
    if isnan(point.over_gqa):
        return "larger" if comparison.other_is_larger else "no plan"
    return percent_text(point.over_gqa, sign=True)


def _above_bound(point: BudgetPoint) -> str:
    if not isfinite(point.over_bound):
        return ""
    return "reached" if point.reaches_bound else percent_text(point.over_bound)


def _error_text(point: BudgetPoint) -> str:
    """Return the error that the method's search minimised, where it was not WSE."""
    return "" if point.fitness == "wse" else f"{point.error:.3g}"


def comparison_json(
    result: SearchResult,
    max_kv_bits: Mapping[float, int],
    load: CacheLoad,
    measured: Iterable[Evaluation] = (),
) -> list[dict[str, Any]]:
    """Return a row per budget and method that has a plan for it, as JSON values.

    ``gqa`` says whether GQA's plan there can be compared with it, ``measured`` what was measured.
    """
    measured = list(measured)
    rows = []
    for ratio, kv_bits in max_kv_bits.items():
        bound = result.bound.at(kv_bits)
        points = points_at_budget(result, kv_bits)
        beside = compare_methods(result, points, measured, None)
        figures = measured_json(result, kv_bits, measured)
        table = comparison_table(result, kv_bits, load).dropna(subset="KV ratio")
        rows += [
            {
                "budget": ratio,
                "method": name,
                "kv_bits": int(row["bits per token"]),
                "kv_ratio": row["KV ratio"],
                "cache_gib": row["cache, GiB"],
                "wse": _known(row["WSE"]),
                "relative_wse": _known(row["relative WSE"]),
                "wse_lower_bound": bound,
                "gqa": _beside_json(points[name], beside.get(name)),
                "measured": figures[name],
            }
            for name, row in zip(map(str, table.index), table.to_dict("records"), strict=True)
        ]
    return rows


def _beside_json(point: BudgetPoint | None, comparison: Comparison | None) -> dict[str, Any] | None:
    """Return what GQA's plan is beside a method's; None for GQA, the source, and without GQA."""
    if point is None or comparison is None:
        return None
    is_equal = comparison.outcome not in ("no plan", "other size")
    return {
        "equal_bytes": is_equal,
        "same_plan": comparison.outcome == "same plan",
        "kv_bits": comparison.against_bits,
        "wse_over_gqa": point.over_gqa if is_equal and isfinite(point.over_gqa) else None,
    }


def result_json(result: SearchResult) -> dict[str, Any]:
    """Return the fronts and the lower bound as JSON values."""
    total, trace = result.spec.kv_bits, result.grams.trace
    return {
        "model": result.spec.source,
        "fingerprint": result.grams.fingerprint,
        "fronts": {
            name: _points(front.cost, result.wse(name), total, trace)
            for name, front in result.fronts.items()
        },
        "lower_bound": _points(result.bound.cost, result.bound.error, total, trace),
    }


def print_groupings(plan: Plan, layers: Iterable[int] | None = None) -> None:
    """Print a plan's groups of heads and how they are stored, a line for each layer or some."""
    name = method_style(plan.method, plan.model).label
    is_of_heads = plan.shares_heads or not plan.has_words
    how = "heads in one bracket share a key/value head" if is_of_heads else "no heads share"
    console.print(f"\n[bold]{name}[/bold] at KV ratio {plan.kv_ratio:.4g}: {how}")
    pictures = plan.pictures
    for number in range(len(pictures)) if layers is None else layers:
        key, value = (_kept(site, is_of_heads=is_of_heads) for site in pictures[number].sites)
        text = key if key == value else f"K {key}  V {value}"
        console.print(f"  layer {number:>2}  {text}", highlight=False)


def _kept(picture: SitePicture, *, is_of_heads: bool) -> str:
    """Return what is kept of a site: its groups of heads, and how they are stored."""
    if not is_of_heads or picture.is_mapped:
        return picture.words or "in full"
    brackets = " ".join(f"({' '.join(map(str, group))})" for group in picture.readers)
    return f"{brackets} in {picture.words}" if picture.words else brackets


def _known(error: float) -> float | None:
    """Return an error, or None where it is not known: no file has NaN."""
    return None if isnan(error) else float(error)


def _points(cost: Any, error: Any, total: int, trace: float) -> list[dict[str, float | None]]:
    return [
        {
            "kv_bits": int(kv_bits),
            "kv_ratio": kv_bits / total,
            "wse": _known(wse),
            "relative_wse": _known(wse / trace),
        }
        for kv_bits, wse in zip(cost.tolist(), error.tolist(), strict=True)
    ]
