"""The plan of one method at the budget: which heads share, and its file."""

from collections.abc import Mapping

import streamlit as st
from ui.cards import Points, facts, selected_point
from ui.chart import legible
from ui.plan_choice import chosen_plan, plan_choice

from qcqa.charts.common.kv_axis import KvAxis
from qcqa.charts.common.palette import method_style
from qcqa.charts.common.wording import merge_text
from qcqa.charts.fronts.plan_figures import PlanFigure
from qcqa.charts.layers.groups import grouping_caption, grouping_figure
from qcqa.jobs.run import Run
from qcqa.measure.evaluation import Evaluation
from qcqa.plan.file import plan_text
from qcqa.search.result import SearchResult


def plan_panel(
    run: Run,
    result: SearchResult,
    points: Points,
    axis: KvAxis,
    max_kv_bits: int,
    figures: Mapping[str, PlanFigure],
    rows: tuple[Evaluation, ...],
) -> None:
    """Draw the chosen method's plan as a chart of layers by heads, its figures and its file.

    Raises
    ------
    QCQAError
        If the plan cannot be made.
    """
    point = selected_point(points, result, max_kv_bits, rows)
    if point is None:
        return
    plan_choice(points, result, max_kv_bits, rows, heading="The plan, layer by layer")
    method = point.method
    plan = chosen_plan(run, result, points, max_kv_bits, rows)
    left, right = st.columns([7, 3], gap="medium")
    with left:
        st.plotly_chart(
            legible(grouping_figure(plan)),
            key="grouping_chart",
            config={"displayModeBar": False},
            alt=f"Groups of heads in every layer of the plan of {method_style(method).label}",
        )
        st.caption(grouping_caption(plan))
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
            "views/groupings/groupings.py",
            label="Compare its groups",
            icon=":material/grid_view:",
            width="stretch",
        )
        st.page_link(
            "views/evaluate/evaluate.py",
            label="Measure this plan",
            icon=":material/science:",
            width="stretch",
        )
