"""The form that starts a search, and what is known of it before it does."""

import streamlit as st
from ui import workers
from ui.draft import SOURCES
from ui.errors import show_error, shown_in_place
from ui.looks import look_at_calibration
from ui.paths import typed_path
from ui.search_model import choose_model, look_at
from ui.state import choose, draft, field, redrawn_alone
from views.search.search_settings import Asked, choose_settings

from qcqa.charts.common.markup import plain
from qcqa.charts.jobs.preflight import model_facts, search_facts, time_text
from qcqa.errors import CalibrationError, QCQAError
from qcqa.jobs.home import runs_folder
from qcqa.jobs.pace import machine_pace
from qcqa.jobs.run import Run
from qcqa.jobs.store import create_run, list_runs
from qcqa.model.inspect import ModelReport
from qcqa.search.method_sets import calibration_of, with_baselines
from qcqa.search.methods import wants_calibration
from qcqa.search.preflight import preflight


@st.fragment
@redrawn_alone
def search_form() -> None:
    """Ask what to search and how, say what it takes, and start it in a process of its own."""
    left, right = st.columns([3, 2], gap="large")
    with left:
        source, revision = "", None
        with shown_in_place():
            source, revision = choose_model()
        asked = choose_settings()
        is_ready, calibration = False, None
        with shown_in_place():
            is_ready, calibration = _calibration(source, revision, asked)
            if calibration is None:
                asked = asked.by_weights()
    with right, st.container(border=True, key="preflight"), shown_in_place():
        st.markdown("**Before it starts**")
        model = look_at(source, revision) if source else None
        if model is None:
            st.caption("Name a model to see what it is and what a search takes.")
        elif isinstance(model, QCQAError):
            show_error(model)
        else:
            st.markdown(":material/check_circle: This model can be searched.")
            if asked.methods:
                _preflight(model, asked, calibration)
            else:
                st.caption("Choose a method under **Advanced**.")
        if st.button(
            "Start search",
            type="primary",
            icon=":material/play_arrow:",
            width="stretch",
            key="start_search",
            disabled=not (isinstance(model, ModelReport) and asked.methods and is_ready),
        ):
            _start(source, revision, asked, calibration)


def _calibration(source: str, revision: str | None, asked: Asked) -> tuple[bool, str | None]:
    """Ask for a calibration text where one is of use; return whether all is there, and the text.

    The demo model brings its own.

    Raises
    ------
    QCQAError
        If there is no such file, or the model could not read it.
    """
    wanted = with_baselines(asked.methods)
    if source == "demo" or not wants_calibration(wanted, asked.settings):
        return True, "demo" if source == "demo" else None
    st.text_input(
        "Calibration text",
        placeholder="path of a plain text file",
        help="Plain text in the model's language, about 100 kB. "
        "Never the text on which the plans are evaluated.",
        **field("calibration", draft().calibration),
    )
    if typed := draft().calibration.strip():
        # At once, not when the search is started.
        if typed != "demo":
            typed_path(typed, CalibrationError)
        text = calibration_of(source, typed, methods=wanted, settings=asked.settings)
        # A model that cannot be opened is told beside the form.
        if text and text != "demo" and isinstance(look_at(source, revision), ModelReport):
            look_at_calibration(source, revision, text)
        return True, text
    by_weights = asked.by_weights()
    if wants_calibration(with_baselines(by_weights.methods), by_weights.settings):
        st.caption(":material/info: This search needs a calibration text: give its path.")
        return False, None
    st.caption(
        ":material/info: Without a text QCQA's second stage looks at **weights alone**: WSE need "
        "not stand for quality, and on some models stands against it."
    )
    return True, None


def _preflight(model: ModelReport, asked: Asked, calibration: str | None) -> None:
    """Say what the model is and what the search takes on this machine."""
    check = preflight(
        model,
        methods=asked.methods,
        settings=asked.settings,
        calibration=calibration,
        folder=runs_folder(),
    )
    facts = model_facts(model) | search_facts(check)
    st.table({name: plain(fact) for name, fact in facts.items()}, border="horizontal")
    pace, timed_runs = _pace()
    time = check.time.on_this_machine(pace, timed_runs=timed_runs)
    span, comma, reason = time_text(time).partition(",")
    st.markdown(f":material/schedule: It takes **{span}**{comma}{reason}.")
    for warning in check.warnings:
        st.warning(plain(warning), icon=":material/memory_alt:")


@st.cache_resource(ttl=60, show_spinner=False)
def _pace() -> tuple[float, int]:
    """Return how fast this machine is, by the newest runs."""
    return machine_pace(run for run in list_runs() if isinstance(run, Run))


def _start(source: str, revision: str | None, asked: Asked, calibration: str | None) -> None:
    text = calibration_of(
        source, calibration, methods=with_baselines(asked.methods), settings=asked.settings
    )
    run = create_run(
        model=source,
        revision=revision,
        methods=asked.methods,
        settings=asked.settings,
        calibration=text,
        name=asked.name or (SOURCES["demo"] if source == "demo" else None),
    )
    workers.start(run)
    choose(run=run.id, method=None)
    st.rerun()
