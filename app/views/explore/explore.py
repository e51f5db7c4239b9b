"""Explore: the fronts of all methods, and the best plan of each within a KV-cache budget."""

from collections.abc import Mapping
from functools import partial

import streamlit as st
from ui import workers
from ui.axis_choice import shown_metric, shown_scale
from ui.budget import budget_controls
from ui.cards import headline, method_cards, selected_point
from ui.errors import show_error, shown_in_place
from ui.heading import page_heading
from ui.live import is_live, live_progress, stopped, tell_problem
from ui.results import measured_of, result_of, stamp_of
from ui.state import choices, redrawn_alone
from ui.unfinished import tell_unfinished
from ui.wording import when
from views.explore.compare import other_runs
from views.explore.figures_table import figures_table
from views.explore.front_chart import front_chart
from views.explore.gpu_panel import gpu_panel
from views.explore.plan_panel import plan_panel

from qcqa.charts.common.kv_axis import significant
from qcqa.charts.common.markup import plain
from qcqa.charts.common.wording import geometry_text
from qcqa.charts.fronts.comparison import comparison_table, points_at_budget
from qcqa.charts.fronts.equal_bytes import compare_methods
from qcqa.charts.fronts.headline import shown_names
from qcqa.charts.fronts.plan_figures import figures_at
from qcqa.charts.quality.series import metrics_of
from qcqa.charts.quality.wse_verdict import wse_verdict
from qcqa.jobs.run import Run
from qcqa.jobs.store import DamagedRun
from qcqa.search.result import SearchResult

#: Cards beside the chart and what fits on a GPU: all where there are so many at most, else so many.
_MOST_CARDS_BESIDE, _CARDS_BESIDE = 8, 6

#: Cards of the source and of so many methods end about where the chart does.
_METHODS_AS_HIGH_AS_THE_CHART = 5


@st.fragment
@redrawn_alone
def explore(run: Run, result: SearchResult, others: Mapping[str, Run]) -> None:
    """Draw all that follows the budget; moving the slider redraws this and nothing else."""
    with shown_in_place():
        tell_unfinished(run, is_state_known=True)
        result, axis, max_kv_bits = budget_controls(result)
        points = points_at_budget(result, max_kv_bits)
        rows = measured_of(run)
        metrics = metrics_of(rows)
        metric = shown_metric(metrics, choices().scale) if metrics else None
        label = metrics[metric] if metric else ""
        figures = figures_at(points, rows, metric, label) if metric else {}
        # One element, whether it holds one sentence or two: what is below it stays what it is.
        with st.container():
            headline(points, result, axis, max_kv_bits, rows)
            st.caption(f":material/balance: {wse_verdict(result, rows)}")
        selected = selected_point(points, result, max_kv_bits, rows)
        left, right = st.columns([3, 2], gap="medium")
        with left:
            front_chart(result, axis, rows, selected, others)
        draw_cards = partial(
            method_cards,
            points,
            result,
            axis,
            max_kv_bits,
            selected,
            scale=shown_scale(result, metrics),
            label=label,
            figures=figures,
            comparisons=compare_methods(result, points, rows, metric),
        )
        shown = list(shown_names(result, points).items())
        # As high as what is beside them, about; the rest goes below.
        beside = _CARDS_BESIDE if len(shown) > _MOST_CARDS_BESIDE else len(shown)
        with right:
            draw_cards(names=dict(shown[:beside]), columns=2 if len(shown) > 3 else 1)
        if selected:
            # Below the chart there is room where the cards of many methods go further down.
            with left if len(result.fronts) > _METHODS_AS_HIGH_AS_THE_CHART else st.container():
                gpu_panel(result, axis.load, selected)
        if shown[beside:]:
            draw_cards(names=dict(shown[beside:]), columns=4)
        plan_panel(run, result, points, axis, max_kv_bits, figures, rows)
        details = st.expander(
            "All figures at this budget",
            icon=":material/table:",
            key="all_figures",
            on_change="rerun",
        )
        # While it is closed the browser need not fetch what tables take.
        if details.open:
            with details:
                table = comparison_table(result, max_kv_bits, axis.load)
                if figures:
                    table[label] = [
                        figures[name].value if name in figures else None for name in table.index
                    ]
                figures_table(table, result, points, selected)


def describe(run: Run, result: SearchResult) -> None:
    """Say in one line which model and search this is."""
    spec = result.spec
    kib = significant(spec.kv_bytes_per_token() / 1024)
    st.caption(
        f"{plain(spec.model_type)} · {geometry_text(spec)} · head dim {spec.head_dim} · "
        f"{kib} KiB of KV cache per token in {plain(spec.dtype)}"
        f" · searched {when(run.config.created)}, seed {run.search.settings.seed}"
    )


def nothing_yet() -> None:
    """Say what to do where there is no run at all."""
    with st.container(border=True, horizontal_alignment="center"):
        st.subheader("No search yet", anchor=False, text_alignment="center")
        st.markdown(
            "Start one on the demo model or on a checkpoint of your own. "
            "How long it takes is said before it starts.",
            text_alignment="center",
        )
        if st.button(
            "Start a search", type="primary", icon=":material/play_arrow:", key="first_search"
        ):
            st.switch_page("views/search/search.py")


def show(run: Run) -> None:
    """Draw a run in whatever state it is."""
    tell_problem()
    status = run.status()
    if is_live(run, status):
        live_progress(run, stamp_of(run))
    elif status.state != "finished":
        stopped(run, status)
    result = result_of(run)
    if result is None:
        if is_live(run, status):
            st.caption("The first fronts appear as soon as the K/V weights are read.")
        return
    describe(run, result)
    explore(run, result, other_runs(run))


workers.reap()
with shown_in_place():
    run = page_heading(
        "QCQA Explorer",
        "How small can the KV cache be, by which means, and what does it cost?",
    )
    if run is None:
        nothing_yet()
    elif isinstance(run, DamagedRun):
        show_error(run.error)
    else:
        show(run)
