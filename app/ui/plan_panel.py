"""The plan of one method at the budget: which heads share, and its file."""

from collections.abc import Mapping

import streamlit as st

from qcqa.plan_file import plan_text
from qcqa.report.groups import grouping_figure
from qcqa.report.kv_axis import KvAxis
from qcqa.report.palette import method_style
from qcqa.runs.run import Run
from qcqa.search_result import SearchResult
from qcqa.use_cases.plan import plan_of_result
from ui.cards import Points, facts, selected_point
from ui.plan_figures import PlanFigure
from ui.state import widget
from ui.wording import merge_text


def plan_panel(
    run: Run,
    result: SearchResult,
    points: Points,
    axis: KvAxis,
    max_cached_heads: int,
    figures: Mapping[str, PlanFigure],
) -> None:
    """Draw the chosen method's plan as a chart of layers by heads, its figures and its file.

    Raises
    ------
    QCQAError
        If the plan cannot be made.
    """
    fitting = [name for name, point in points.items() if point is not None]
    point = selected_point(points, result, max_cached_heads)
    if point is None:
        return
    st.subheader("Which heads share", anchor=False)
    method = point.method
    st.segmented_control(
        "Plan of",
        fitting,
        format_func=lambda name: method_style(name).label,
        required=True,
        label_visibility="collapsed",
        wrap=True,
        **widget("method", method, key="plan_method"),
    )
    plan = plan_of_result(result, max_cached_heads, method=method, run=run.id)
    left, right = st.columns([7, 3], gap="medium")
    with left:
        st.plotly_chart(
            grouping_figure(plan),
            key="grouping_chart",
            config={"displayModeBar": False},
            alt=f"Groups of heads in every layer of the plan of {method_style(method).label}",
        )
        is_apart = any(layer.key != layer.value for layer in plan.layers)
        shared = "one head, of keys and of values apart" if is_apart else "one K and one V head"
        st.caption(
            "A row per layer, a column per head of the source. Heads of one colour and number "
            f"share {shared}; a grey head keeps its own."
        )
    with right:
        st.table(facts(point, axis, merge_text(plan), figures.get(method)), border="horizontal")
        st.download_button(
            "Download plan",
            plan_text(plan),
            file_name=f"plan-{method}-{round(100 * plan.kv_ratio)}pct.json",
            mime="application/json",
            icon=":material/download:",
            type="primary",
            width="stretch",
            on_click="ignore",
            key="download_plan",
        )
        st.page_link(
            "views/evaluate.py",
            label="Measure this plan",
            icon=":material/science:",
            width="stretch",
        )
