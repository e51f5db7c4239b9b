"""A click selects a plan: of all pages, for the choice is in the address."""

from collections.abc import Callable
from typing import Any

import streamlit as st
from ui.state import choose

from qcqa.model.spec import ModelSpec
from qcqa.plan.budget import ratio_of_bits


def select_plan(spec: ModelSpec, method: str, kv_bits: int) -> None:
    """Select the plan of a method that caches so many bits per token: its size is the budget."""
    choose(budget=100 * ratio_of_bits(spec, kv_bits), method=method)


def chart_selection(key: str, spec: ModelSpec) -> dict[str, Any]:
    """Return ``key``, ``on_select`` and ``selection_mode`` of a chart whose points are plans.

    The points' ``customdata`` begin with the plan's method and its bits per token.

    Parameters
    ----------
    key : str
        The chart's key.
    spec : ModelSpec
        The source model.
    """
    return {"key": key, "on_select": _on_click(key, spec), "selection_mode": "points"}


def _on_click(key: str, spec: ModelSpec) -> Callable[[], None]:
    def clicked() -> None:
        # Called for a new selection only. A click beside the points is an empty one.
        for point in st.session_state[key]["selection"]["points"]:
            match point.get("customdata"):
                case [str(method), int(kv_bits), *_] if 1 <= kv_bits <= spec.kv_bits:
                    select_plan(spec, method, kv_bits)
                    return

    return clicked
