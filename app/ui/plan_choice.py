"""The method whose plan is shown: the same on all pages."""

import streamlit as st

from qcqa.report.palette import method_style
from qcqa.search_result import SearchResult
from ui.cards import Points, best_points
from ui.state import choices, widget


def plan_choice(points: Points, result: SearchResult, max_cached_heads: int) -> str | None:
    """Draw the switch between methods that have a plan; return the chosen one, or None."""
    fitting = [name for name, point in points.items() if point is not None]
    best = best_points(points, result, max_cached_heads)
    if not best:
        return None
    chosen = choices().method
    method = chosen if chosen in fitting else best[0].method
    st.segmented_control(
        "Plan of",
        fitting,
        format_func=lambda name: method_style(name).label,
        required=True,
        wrap=True,
        **widget("method", method, key="plan_method"),
    )
    return method
