"""Explore: the fronts of all methods, and the best plan of each within a KV-cache budget."""

from typing import cast

import streamlit as st
from ui import workers
from ui.axis_choice import shown_metric, vertical_axis
from ui.budget import budget_controls
from ui.cards import headline, method_cards
from ui.errors import shown_in_place
from ui.heading import page_heading
from ui.live import live_progress, stopped, tell_problem
from ui.plan_figures import best_measured, figures_at
from ui.plan_panel import plan_panel
from ui.results import measured_of, result_of, stamp_of
from ui.state import choices
from ui.wording import geometry_text, when

from qcqa.evaluated import Evaluated
from qcqa.report.accuracy import accuracy_caption, accuracy_figure
from qcqa.report.comparison import comparison_table, points_at_budget
from qcqa.report.kv_axis import KvAxis, significant
from qcqa.report.measured import metrics_of
from qcqa.report.pareto import ErrorScale, pareto_caption, pareto_figure
from qcqa.runs.run import Run
from qcqa.runs.status import LIVE_STATES
from qcqa.runs.store import DamagedRun
from qcqa.search_result import SearchResult


@st.fragment
def explore(run: Run, result: SearchResult) -> None:
    """Draw all that follows the budget; moving the slider redraws this and nothing else."""
    with shown_in_place():
        axis, max_cached_heads = budget_controls(result.spec)
        points = points_at_budget(result, max_cached_heads)
        headline(points, result, axis, max_cached_heads)
        rows = measured_of(run)
        metrics = metrics_of(rows)
        figures = {}
        if metrics:
            metric = shown_metric(metrics, choices().scale)
            figures = figures_at(points, rows, metric, metrics[metric])
            if sentence := best_measured(points, figures, metric):
                st.markdown(f":material/science: {sentence}")
        left, right = st.columns([3, 2], gap="medium")
        with left:
            scale = vertical_axis(result, metrics)
            if scale in metrics:
                _measured_front(result, axis, rows, scale)
            else:
                _predicted_front(result, axis, cast("ErrorScale", scale))
        with right:
            method_cards(points, result, axis, figures)
        plan_panel(run, result, points, axis, max_cached_heads, figures)
        with st.expander("All figures at this budget", icon=":material/table:"):
            table = comparison_table(result, max_cached_heads, axis.load)
            if figures:
                table[metrics[metric]] = [
                    figures[name].value if name in figures else None for name in table.index
                ]
            st.dataframe(
                table,
                hide_index=True,
                column_config={
                    "KV ratio": st.column_config.NumberColumn(format="%.4f"),
                    "cache, GiB": st.column_config.NumberColumn(format="%.4g"),
                    "KiB per token": st.column_config.NumberColumn(format="%.4g"),
                    "WSE": st.column_config.NumberColumn(format="%.5g"),
                    "relative WSE": st.column_config.NumberColumn(format="%.4f"),
                    "vs GQA, %": st.column_config.NumberColumn(format="%+.2f"),
                    "above lower bound, %": st.column_config.NumberColumn(format="%.2f"),
                },
                placeholder="\N{EM DASH}",
                alt="Cost and error of the best plan of each method within the budget",
            )


def _predicted_front(result: SearchResult, axis: KvAxis, scale: ErrorScale) -> None:
    st.plotly_chart(
        pareto_figure(result, axis, budget=choices().budget / 100, scale=scale),
        key="pareto_chart",
        config={"displayModeBar": False},
        alt="What the search predicts against KV-cache size, a front per method",
    )
    st.caption(pareto_caption(result, scale))


def _measured_front(
    result: SearchResult, axis: KvAxis, rows: tuple[Evaluated, ...], metric: str
) -> None:
    figure = accuracy_figure(
        rows, metric, axis, fronts=result.fronts, budget=choices().budget / 100
    )
    st.plotly_chart(
        figure,
        key="accuracy_chart",
        config={"displayModeBar": False},
        alt="Measured figures against KV-cache size, a line per method",
    )
    st.caption(accuracy_caption(figure, rows, metric))


def describe(run: Run, result: SearchResult) -> None:
    """Say in one line which model and search this is."""
    spec = result.spec
    st.caption(
        f"{spec.model_type} · {geometry_text(spec)} · head dim {spec.head_dim} · "
        f"{significant(spec.kv_bytes_per_token() / 1024)} KiB of KV cache per token in {spec.dtype}"
        f" · searched {when(run.config.created)}, seed {run.search.settings.seed}"
    )


def nothing_yet() -> None:
    """Say what to do where there is no run at all."""
    with st.container(border=True, horizontal_alignment="center"):
        st.subheader("No search yet", anchor=False, text_alignment="center")
        st.markdown(
            "Start one on the demo model or on a checkpoint of your own; "
            "it takes seconds to minutes.",
            text_alignment="center",
        )
        if st.button(
            "Start a search", type="primary", icon=":material/play_arrow:", key="first_search"
        ):
            st.switch_page("views/search.py")


def show(run: Run) -> None:
    """Draw a run in whatever state it is."""
    tell_problem()
    status = run.status()
    if status.state in LIVE_STATES:
        live_progress(run, stamp_of(run))
    elif status.state != "finished":
        stopped(run, status)
    result = result_of(run)
    if result is None:
        if status.state in LIVE_STATES:
            st.caption("The first fronts appear as soon as the K/V weights are read.")
        return
    describe(run, result)
    explore(run, result)


workers.reap()
with shown_in_place():
    run = page_heading(
        "QCQA Explorer",
        "Which attention heads can share one key/value head, and what does it cost?",
    )
    if run is None:
        nothing_yet()
    elif isinstance(run, DamagedRun):
        st.error(run.error.one_line(), icon=":material/error:")
    else:
        show(run)
