"""The best plan of each method at the budget, as cards."""

from collections.abc import Iterable, Mapping
from math import isnan
from typing import Literal

import streamlit as st

from qcqa.charts.common.kv_axis import KvAxis, significant
from qcqa.charts.common.markup import plain
from qcqa.charts.common.palette import method_style
from qcqa.charts.common.wording import ERROR_NAMES
from qcqa.charts.fronts.comparison import BudgetPoint, percent_text
from qcqa.charts.fronts.equal_bytes import Comparison
from qcqa.charts.fronts.headline import budget_headline
from qcqa.charts.fronts.plan_card import PlanCard, plan_card
from qcqa.charts.fronts.plan_figures import PlanFigure
from qcqa.charts.quality.series import metrics_of
from qcqa.measure.evaluation import Evaluation
from qcqa.pick.best import best_method
from qcqa.search.result import SearchResult
from ui.axis_choice import shown_metric, shown_scale
from ui.glyph import glyph
from ui.state import choices, choose

Points = Mapping[str, BudgetPoint | None]


def best_points(
    points: Points, result: SearchResult, max_kv_bits: int, rows: Iterable[Evaluation]
) -> list[BudgetPoint]:
    """Return the points to recommend: the best, and those as good; none where no plan fits.

    Which they are, by what was measured in ``rows`` or else by what the search predicts, is said
    by :func:`~qcqa.pick.best.best_method`.
    """
    if not any(points.values()):
        return []
    best = best_method(result, max_kv_bits, rows)
    found = (points[method] for method in (best.method, *best.equals))
    return [point for point in found if point is not None]


def selected_point(
    points: Points, result: SearchResult, max_kv_bits: int, rows: Iterable[Evaluation]
) -> BudgetPoint | None:
    """Return the plan of the method that the reader chose, or else the best; None if none fits."""
    chosen = points.get(choices().method or "")
    if chosen is not None:
        return chosen
    return next(iter(best_points(points, result, max_kv_bits, rows)), None)


def headline(
    points: Points,
    result: SearchResult,
    axis: KvAxis,
    max_kv_bits: int,
    rows: tuple[Evaluation, ...] = (),
) -> None:
    """Say in one sentence what the budget buys: as measured, or else as the search expects."""
    metrics = metrics_of(rows)
    metric = shown_metric(metrics, choices().scale) if metrics else None
    equals = best_points(points, result, max_kv_bits, rows)
    best = best_method(result, max_kv_bits, rows) if equals else None
    sentence = budget_headline(
        result,
        points,
        equals,
        axis,
        choices().budget / 100,
        rows=[row for row in rows if row.is_at_size],
        metric=metric,
        label=metrics.get(metric or "", ""),
        scale=shown_scale(result, metrics),
        best=best,
    )
    st.subheader(sentence, anchor=False)


def method_cards(
    points: Points,
    result: SearchResult,
    axis: KvAxis,
    max_kv_bits: int,
    selected: BudgetPoint | None,
    *,
    scale: str,
    label: str,
    figures: Mapping[str, PlanFigure],
    comparisons: Mapping[str, Comparison],
    names: Mapping[str, str],
    columns: int,
) -> None:
    """Draw a card per method: what the chart shows of its plan, and the rest in small.

    A card's name selects its plan. The source has none: it fits the whole budget only, and loses
    nothing then.

    Parameters
    ----------
    points, result, axis, max_kv_bits
        The methods' plans, their fronts, the unit of sizes and the budget.
    selected : BudgetPoint or None
        The plan that is shown below.
    scale, label : str
        What the chart shows, and what it is called where it was measured.
    figures, comparisons
        What was measured of the plans, and of them beside GQA's.
    names : mapping from str to str
        Methods to draw, with their names.
    columns : int
        Cards beside each other, where there is room.
    """
    with st.grid(columns, min_column_width=150, gap="small"):
        for method, name in names.items():
            point = points[method]
            with st.container(border=True, gap=None, height="stretch", key=f"card_{method}"):
                _name(method, name, point, is_selected=point is not None and point is selected)
                if point is None:
                    least = axis.text(int(result.fronts[method].size.min()))
                    _no_card(name, least)
                    continue
                card = plan_card(
                    result,
                    point,
                    axis,
                    scale=scale,
                    label=label,
                    max_kv_bits=max_kv_bits,
                    figure=figures.get(method),
                    comparison=comparisons.get(method),
                )
                _card(name, card)


def _name(method: str, label: str, point: BudgetPoint | None, *, is_selected: bool) -> None:
    """Draw a card's name: a button where there is a plan to select."""
    name = f"![]({glyph(method_style(method))}) **{label}**"
    if point is None:
        st.markdown(name)
        return
    st.button(
        f"{name} :blue-badge[selected]" if is_selected else name,
        type="tertiary",
        key=f"select_{method}",
        help="This plan is shown below." if is_selected else "Show this plan below.",
        on_click=choose,
        kwargs={"method": method},
    )


def _no_card(name: str, least: str) -> None:
    st.metric(name, "\N{EM DASH}", label_visibility="collapsed")
    st.caption(f"No plan fits: the smallest needs {least}.")


def _card(name: str, card: PlanCard) -> None:
    st.caption(plain(card.label))
    st.metric(
        name,
        card.value,
        card.change,
        delta_color=_COLOURS[card.is_better],
        delta_arrow="off",
        label_visibility="collapsed",
    )
    st.caption("  \n".join(card.lines))


#: Nothing is green or red that may be chance.
_COLOURS: dict[bool | None, Literal["green", "red", "gray"]] = {
    True: "green",
    False: "red",
    None: "gray",
}


def facts(
    point: BudgetPoint, axis: KvAxis, merge: str, figure: PlanFigure | None
) -> dict[str, str]:
    """Return what is to be known of one plan, as names and values."""
    spec, load = axis.spec, axis.load
    measured = {}
    if figure is not None:
        known = f"{figure.bare} \N{PLUS-MINUS SIGN} {figure.error}"
        measured[plain(figure.label)] = known if figure.error else figure.value
    bound = {}
    if not isnan(point.over_bound):
        bound["Above bound"] = (
            "0 %: no grouping alike for K and V has a lower WSE"
            if point.reaches_bound
            else percent_text(point.over_bound)
        )
    aim = {}
    if point.fitness != "wse":
        name, unit = ERROR_NAMES[point.fitness]
        aim[name.capitalize()] = f"{significant(point.error)} {unit}".strip()
    wse = {}
    if not isnan(point.wse):
        relative = "" if isnan(point.relative_wse) else f"{point.relative_wse:.4f}"
        wse = {"WSE": significant(point.wse), "Relative WSE": relative}
    return {
        "Method": method_style(point.method, spec).label,
        "KV ratio": f"{point.kv_ratio:.4f}",
        "KV cache": KvAxis(spec, load, "gib").text(point.size),
        "Per token": KvAxis(spec, load, "kib").text(point.size),
        "Cached heads": f"{point.num_stored_heads:,} of {spec.num_stored_heads:,}",
        "Merge": merge,
        **aim,
        **wse,
        **bound,
        **measured,
    }
