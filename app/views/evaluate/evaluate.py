"""Evaluate: measure plans as running models, and see what they really cost and say."""

import streamlit as st
from ui import workers
from ui.address import SECTIONS, Section
from ui.errors import show_error, shown_in_place
from ui.heading import page_heading
from ui.live import is_live, tell_problem
from ui.results import measured_of, result_of
from ui.state import choices, widget
from views.evaluate.benchmark_form import ask_quality, ask_speed
from views.evaluate.live_evaluation import newest_evaluation
from views.evaluate.measure_form import AskBenchmark, measure_form
from views.evaluate.measured_panel import measured_panel
from views.evaluate.measurements_dialog import manage_button
from views.evaluate.side_by_side import side_by_side
from views.evaluate.speed_panel import speed_panel

from qcqa.charts.quality.series import metrics_of
from qcqa.charts.quality.speed import speed_conditions
from qcqa.jobs.run import Run
from qcqa.jobs.store import DamagedRun
from qcqa.measure.evaluation import Evaluation
from qcqa.search.result import SearchResult

#: What a section says before anything is measured for it.
_WHY: dict[Section, str] = {
    "quality": "WSE only predicts. Choose some plans: each becomes a model that really has the "
    "smaller KV cache, and is measured beside its source.",
    "speed": "Choose some plans and a load: each model reads random prompts and generates token by "
    "token, in turns with its source, and the bytes of its live KV cache are counted.",
}


def show(run: Run, result: SearchResult) -> None:
    """Draw one of the page's sections."""
    tell_problem()
    section = choices().section
    st.segmented_control(
        "Show",
        list(SECTIONS),
        format_func=lambda name: SECTIONS[name],
        required=True,
        label_visibility="collapsed",
        **widget("section", section),
    )
    if section == "texts":
        side_by_side(run, result)
    else:
        measured(run, result, section)


def measured(run: Run, result: SearchResult, section: Section) -> None:
    """Draw what is measured of a run, and what measures more of it."""
    newest = newest_evaluation(run)
    is_at_work = newest is not None and is_live(newest)
    rows = measured_of(run)
    is_speed = section == "speed"
    ask: AskBenchmark = ask_speed if is_speed else ask_quality
    if not (speed_conditions(rows) if is_speed else metrics_of(rows)):
        nothing_yet(run, result, rows, section, ask, is_at_work=is_at_work)
        manage_button(run)
        return
    if not is_at_work:
        more = st.expander(
            "Measure more plans", icon=":material/add:", key="measure_more", on_change="rerun"
        )
        if more.open:
            with more:
                measure_form(run, result, rows, ask)
    if is_speed:
        speed_panel(rows, run.id)
    else:
        measured_panel(result, rows, run.id, newest)
    manage_button(run)


def nothing_yet(
    run: Run,
    result: SearchResult,
    rows: tuple[Evaluation, ...],
    section: Section,
    ask: AskBenchmark,
    *,
    is_at_work: bool,
) -> None:
    """Say what is going to be here, and offer to measure it."""
    with st.container(border=True):
        if is_at_work:
            st.markdown(
                "What is being measured shows under **Quality** or **Speed and memory**, "
                "as soon as a model is done. More can be measured then."
            )
        else:
            st.subheader("Nothing measured yet", anchor=False)
            st.markdown(_WHY[section])
            measure_form(run, result, rows, ask)


workers.reap()
with shown_in_place():
    run = page_heading("Evaluate", "What does a smaller KV cache cost, and what does it save?")
    if run is None:
        st.info("There is no search yet. Start one with **New search**.", icon=":material/info:")
    elif isinstance(run, DamagedRun):
        show_error(run.error)
    elif (result := result_of(run)) is None:
        st.info("This search has no fronts yet: there are no plans to measure.")
    else:
        show(run, result)
