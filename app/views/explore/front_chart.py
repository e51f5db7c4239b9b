"""The chart of fronts: what a search predicts or what was measured; a click selects a plan."""

from collections.abc import Mapping
from typing import cast

import streamlit as st
from ui.axis_choice import vertical_axis
from ui.chart import legible
from ui.state import choices, widget
from views.explore.compare import compared_runs, tell_compared
from views.explore.selection import chart_selection

from qcqa.charts.common.kv_axis import KvAxis
from qcqa.charts.fronts.comparison import BudgetPoint
from qcqa.charts.fronts.error_axis import ErrorScale
from qcqa.charts.fronts.overlay import measured_obstacle, predicted_obstacle
from qcqa.charts.fronts.pareto import pareto_figure
from qcqa.charts.fronts.pareto_caption import pareto_caption
from qcqa.charts.quality.accuracy import accuracy_caption, accuracy_figure, can_be_log, wants_log
from qcqa.charts.quality.series import metrics_of
from qcqa.jobs.run import Run
from qcqa.measure.comparable import rows_under
from qcqa.measure.evaluation import Evaluation
from qcqa.search.result import SearchResult

_CONFIG = {"displayModeBar": False}


def front_chart(
    result: SearchResult,
    axis: KvAxis,
    rows: tuple[Evaluation, ...],
    selected: BudgetPoint | None,
    runs: Mapping[str, Run],
) -> None:
    """Draw the switch of the vertical axis, the choice of runs to compare with, and the chart.

    Parameters
    ----------
    result : SearchResult
        Fronts of the methods.
    axis : KvAxis
        Unit of the cache's size.
    rows : tuple of Evaluation
        What was measured.
    selected : BudgetPoint or None
        The selected plan, which is marked.
    runs : mapping of str to Run
        Runs to compare with, by label.
    """
    metrics = metrics_of(rows)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        scale = vertical_axis(result, metrics)
        log = _log_switch(result, rows, scale, is_measured=scale in metrics)
    others = compared_runs(runs)
    budget = choices().budget / 100
    plan = (selected.method, selected.kv_bits) if selected else None
    if scale in metrics:
        figure = accuracy_figure(
            rows,
            scale,
            axis,
            fronts=result.fronts,
            budget=budget,
            log=log,
            selected=plan,
            others=others,
        )
        st.plotly_chart(
            legible(figure),
            config=_CONFIG,
            alt="Measured figures against KV-cache size, a line per method",
            **chart_selection("accuracy_chart", result),
        )
        tell_compared(others, lambda other: measured_obstacle(other, rows, axis, scale))
        st.caption(accuracy_caption(figure, rows, scale))
        return
    error = cast("ErrorScale", scale)
    figure = pareto_figure(
        result,
        axis,
        budget=budget,
        scale=error,
        log=log,
        selected=plan,
        rows=rows,
        others=others,
    )
    st.plotly_chart(
        legible(figure),
        config=_CONFIG,
        alt="What the search predicts against KV-cache size, a front per method",
        **chart_selection("pareto_chart", result),
    )
    tell_compared(others, lambda other: predicted_obstacle(other, result, axis, error))
    st.caption(pareto_caption(result, error, axis.load, log=log))


def _log_switch(
    result: SearchResult, rows: tuple[Evaluation, ...], scale: str, *, is_measured: bool
) -> bool:
    """Draw the switch to a logarithmic axis where that makes sense; return whether it is one."""
    log = choices().log
    if log is None and scale == "loss":
        # Fewer bits lose thousands of times less than heads.
        log = any(front.has_codecs for front in result.fronts.values())
    if is_measured:
        compared = rows_under(rows, scale)
        if not can_be_log(compared, scale):
            return False
        log = wants_log(compared, scale) if log is None else log
    st.toggle("Log", help="A logarithmic vertical axis.", **widget("log", bool(log)))
    return bool(log)
