"""The best plan of each method at the budget, as one sentence and as cards."""

from collections.abc import Iterable, Mapping
from math import isfinite, isnan
from typing import Literal

import streamlit as st

from qcqa.evaluated import Evaluated
from qcqa.report.comparison import BudgetPoint, percent_text
from qcqa.report.kv_axis import KvAxis, significant, size_text
from qcqa.report.palette import MethodStyle, method_style
from qcqa.report.plan_card import PlanCard, plan_card
from qcqa.report.plan_figures import PlanFigure
from qcqa.report.wording import ERROR_NAMES, error_text, listed
from qcqa.search_result import SearchResult
from qcqa.use_cases.best import best_method
from ui.glyph import glyph
from ui.state import choices, choose

Points = Mapping[str, BudgetPoint | None]


def best_points(
    points: Points, result: SearchResult, max_cached_heads: int, rows: Iterable[Evaluated]
) -> list[BudgetPoint]:
    """Return the points to recommend: the best, and those as good; none where no plan fits.

    Which they are, by what was measured in ``rows`` or else by what the search predicts, is said
    by :func:`~qcqa.use_cases.best.best_method`.
    """
    if not any(points.values()):
        return []
    best = best_method(result, max_cached_heads, rows)
    found = (points[method] for method in (best.method, *best.equals))
    return [point for point in found if point is not None]


def selected_point(
    points: Points, result: SearchResult, max_cached_heads: int, rows: Iterable[Evaluated]
) -> BudgetPoint | None:
    """Return the plan of the method that the reader chose, or else the best; None if none fits."""
    chosen = points.get(choices().method or "")
    if chosen is not None:
        return chosen
    return next(iter(best_points(points, result, max_cached_heads, rows)), None)


def headline(
    points: Points,
    result: SearchResult,
    axis: KvAxis,
    max_cached_heads: int,
    rows: tuple[Evaluated, ...] = (),
) -> None:
    """Say in one sentence what the budget buys."""
    st.subheader(_bought(points, result, axis, max_cached_heads, rows), anchor=False)


def _bought(
    points: Points,
    result: SearchResult,
    axis: KvAxis,
    max_cached_heads: int,
    rows: tuple[Evaluated, ...],
) -> str:
    equals = best_points(points, result, max_cached_heads, rows)
    size = size_text(choices().budget, "percent")
    if not equals:
        least = min(int(front.cost[0]) for front in result.fronts.values())
        return (
            f"No plan fits {size} of the source's KV cache: "
            f"one K and one V head per layer already need {axis.text(least)}."
        )
    best = equals[0]
    if any(point is not None and point.wse == 0 for point in points.values()):
        return "The source itself fits this budget: nothing needs to be merged."
    chosen = best_method(result, max_cached_heads, rows)
    if chosen.by == "measured":
        name = method_style(best.method).label
        return f"Within {size} of the source's KV cache, **{name}** is the best: {chosen.ground}."
    names = listed([f"**{method_style(p.method).label}**" for p in equals])
    verb = "lose" if len(equals) > 1 else "loses"
    said = f"Within {size} of the source's KV cache, {names} {verb} least"
    if best.fitness != "wse":
        return f"{said}: {error_text(best.fitness, best.error)}."
    compared = ""
    if isfinite(best.over_gqa) and best.over_gqa < -1e-9:
        compared = f", {percent_text(-best.over_gqa)} less than GQA"
    return f"{said}: relative WSE {best.relative_wse:.3f}{compared}. {_proof(best)}"


def _proof(best: BudgetPoint) -> str:
    """Say how much lower the WSE could be; nothing where no lower bound holds."""
    if best.reaches_bound:
        return "No grouping has a lower WSE."
    if isnan(best.over_bound):
        return ""
    return f"No grouping can be more than {percent_text(_room(best))} lower."


def method_cards(
    points: Points,
    result: SearchResult,
    axis: KvAxis,
    figures: Mapping[str, PlanFigure],
    selected: BudgetPoint | None,
    scale: str,
) -> None:
    """Draw a card per method: what the chart shows of its plan, and the rest in small.

    A card's name selects its plan. The source has none: it fits the whole budget only, and loses
    nothing then.
    """
    shown = {method: point for method, point in points.items() if method != "mha"}
    # As high as the chart beside them, about.
    with st.grid(2 if len(shown) > 3 else 1, min_column_width=150, gap="small"):
        for method, point in shown.items():
            with st.container(border=True, gap=None, height="stretch", key=f"card_{method}"):
                _name(method, point, is_selected=point is not None and point is selected)
                if point is None:
                    least = axis.text(int(result.fronts[method].cost[0]))
                    _no_card(method_style(method), least)
                else:
                    figure = figures.get(method)
                    card = plan_card(result, point, axis, scale=scale, figure=figure)
                    _card(method_style(method), card)


def _name(method: str, point: BudgetPoint | None, *, is_selected: bool) -> None:
    """Draw a card's name: a button where there is a plan to select."""
    style = method_style(method)
    name = f"![]({glyph(style)}) **{style.label}**"
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


def _no_card(style: MethodStyle, least: str) -> None:
    st.metric(style.label, "—", label_visibility="collapsed")
    st.caption(f"No plan fits: the smallest needs {least}.")


def _card(style: MethodStyle, card: PlanCard) -> None:
    colors: dict[bool | None, Literal["normal", "inverse", "off"]] = {
        True: "inverse",
        False: "normal",
        None: "off",
    }
    st.caption(card.label)
    st.metric(
        style.label,
        card.value,
        # Streamlit takes a hyphen alone for a minus.
        card.change.replace("\N{MINUS SIGN}", "-") if card.change else None,
        delta_color=colors[card.lower_is_better],
        delta_description=f"vs {card.against}" if card.against else None,
        label_visibility="collapsed",
    )
    st.caption("  \n".join(card.lines))


def facts(
    point: BudgetPoint, axis: KvAxis, merge: str, figure: PlanFigure | None
) -> dict[str, str]:
    """Return what is to be known of one plan, as names and values."""
    spec, load = axis.spec, axis.load
    measured = {}
    if figure is not None:
        error = f" \N{PLUS-MINUS SIGN} {figure.error}" if figure.error else ""
        measured[figure.label] = figure.value + error
    bound = {}
    if not isnan(point.over_bound):
        bound["Above bound"] = (
            "0 %: reaches it" if point.reaches_bound else percent_text(point.over_bound)
        )
    aim = {}
    if point.fitness != "wse":
        name, unit = ERROR_NAMES[point.fitness]
        aim[name.capitalize()] = f"{significant(point.error)} {unit}".strip()
    return {
        "Method": method_style(point.method).label,
        "KV ratio": f"{point.kv_ratio:.4f}",
        "KV cache": KvAxis(spec, load, "gib").text(point.num_cached_heads),
        "Per token": KvAxis(spec, load, "kib").text(point.num_cached_heads),
        "Cached heads": f"{point.num_cached_heads:,} of {spec.num_cached_heads:,}",
        "Merge": merge,
        **aim,
        "WSE": significant(point.wse),
        "Relative WSE": f"{point.relative_wse:.4f}",
        **bound,
        **measured,
    }


def _room(point: BudgetPoint) -> float:
    """Return by which share of its WSE a plan could still be better at most."""
    return point.over_bound / (1 + point.over_bound) if isfinite(point.over_bound) else 1.0
