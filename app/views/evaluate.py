"""Evaluate: measure plans as running models, and see what they really cost in quality."""

import streamlit as st
from ui import workers
from ui.errors import shown_in_place
from ui.heading import page_heading
from ui.live import tell_problem
from ui.live_evaluation import newest_evaluation
from ui.measure_form import measure_form
from ui.measured_panel import measured_panel
from ui.results import measured_of, result_of

from qcqa.report.measured import metrics_of
from qcqa.runs.run import Run
from qcqa.runs.status import LIVE_STATES
from qcqa.runs.store import DamagedRun
from qcqa.search_result import SearchResult


def show(run: Run, result: SearchResult) -> None:
    """Draw what is measured of a run, and what measures more of it."""
    tell_problem()
    newest = newest_evaluation(run)
    is_at_work = newest is not None and newest.status().state in LIVE_STATES
    rows = measured_of(run)
    if not metrics_of(rows):
        with st.container(border=True):
            if is_at_work:
                st.markdown("The first figures show here as soon as a model is measured.")
            else:
                st.subheader("Nothing measured yet", anchor=False)
                st.markdown(
                    "WSE only predicts. Choose some plans: each becomes a model that really has "
                    "the smaller KV cache, and is measured beside its source."
                )
                measure_form(run, result, rows)
        return
    if not is_at_work:
        more = st.expander(
            "Measure more plans", icon=":material/add:", key="measure_more", on_change="rerun"
        )
        if more.open:
            with more:
                measure_form(run, result, rows)
    measured_panel(result, rows, run.id, newest)


workers.reap()
with shown_in_place():
    run = page_heading("Evaluate", "What does a smaller KV cache cost in measured quality?")
    if run is None:
        st.info("There is no search yet. Start one with **New search**.", icon=":material/info:")
    elif isinstance(run, DamagedRun):
        st.error(run.error.one_line(), icon=":material/error:")
    elif (result := result_of(run)) is None:
        st.info("This search has no fronts yet: there are no plans to measure.")
    else:
        show(run, result)
