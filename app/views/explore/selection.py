"""A click selects a plan: of all pages, for the choice is in the address."""

from collections.abc import Callable
from typing import Any

import streamlit as st
from ui.state import choose

from qcqa.plan.budget import ratio_of_bits
from qcqa.search.result import SearchResult


def select_plan(result: SearchResult, method: str, kv_bits: int) -> None:
    """Select the plan of a method that costs so many bits per token: its size is the budget.

    One that is larger than the source at the load that is looked at is none to select.
    """
    size = result.front(method).size_of(kv_bits)
    if 1 <= size <= result.spec.kv_bits:
        choose(budget=100 * ratio_of_bits(result.spec, size), method=method)


def chart_selection(key: str, result: SearchResult) -> dict[str, Any]:
    """Return ``key``, ``on_select`` and ``selection_mode`` of a chart whose points are plans.

    The points' ``customdata`` begin with the plan's method and its bits per token.

    Parameters
    ----------
    key : str
        The chart's key.
    result : SearchResult
        Whose plans they are, at the load that is looked at.
    """
    return {"key": key, "on_select": _on_click(key, result), "selection_mode": "points"}


def _on_click(key: str, result: SearchResult) -> Callable[[], None]:
    def clicked() -> None:
        # Called for a new selection only. A click beside the points is an empty one.
        for point in st.session_state[key]["selection"]["points"]:
            match point.get("customdata"):
                case [str(method), int(kv_bits), *_] if method in result.fronts:
                    select_plan(result, method, kv_bits)
                    return

    return clicked
