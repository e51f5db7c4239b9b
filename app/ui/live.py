"""A run that is not finished: its progress while it is at work, and what to do when it stopped."""

from collections.abc import Callable

import streamlit as st

from qcqa.charts.common.duration import clock
from qcqa.charts.common.markup import plain
from qcqa.errors import QCQAError
from qcqa.jobs.clock import seconds_since
from qcqa.jobs.launch import cancel
from qcqa.jobs.run import Run
from qcqa.jobs.status import LIVE_STATES, RunStatus
from ui import workers
from ui.errors import show_error, shown_in_place
from ui.looks import why_it_cannot_go_on
from ui.results import Stamp, stamp_of
from ui.state import redrawn_alone

SECONDS_BETWEEN_LOOKS = 1.0
_PROBLEM = "problem_with_run"


def is_live(run: Run, status: RunStatus | None = None) -> bool:
    """Return whether a worker has a run, or is being started.

    A run that is queued and held by nobody has been left: there is nothing to wait for.

    Raises
    ------
    RunError
        If its files are damaged.
    """
    state = (status or run.status()).state
    return state in LIVE_STATES and (state != "queued" or run.is_at_work())


@st.fragment(run_every=SECONDS_BETWEEN_LOOKS)
@redrawn_alone
def live_progress(run: Run, seen: Stamp) -> None:
    """Follow a run at work; the rest of the page is only drawn anew when there is more to see.

    Parameters
    ----------
    run : Run
        Queued or running.
    seen : Stamp
        The fronts that the page shows.
    """
    workers.reap()
    with shown_in_place():
        status = run.status()
        if not is_live(run, status) or stamp_of(run) != seen:
            st.rerun()
        with st.container(border=True, key="live"):
            progress_row(run, status)
            st.page_link(
                "views/search/search.py", label="Stage by stage", icon=":material/manage_search:"
            )


def progress_row(
    run: Run, status: RunStatus, *, stage: str | None = None, key: str = "cancel_run"
) -> None:
    """Draw how far a run at work is, and the button that cancels it.

    Parameters
    ----------
    run, status
        The run, and its state.
    stage : str, optional
        What it does now, where more is known of that than its status says.
    key : str
        Of the button: a page may show several runs.
    """
    left, right = st.columns([8, 2], vertical_alignment="center")
    left.progress(status.fraction, text=_progress_text(status, stage))
    right.button(
        "Cancel",
        icon=":material/stop_circle:",
        key=key,
        width="stretch",
        # A callback: the script may turn away before it comes to look at the button.
        on_click=attempt,
        args=(cancel, run),
    )
    tell_problem()


def stopped(
    run: Run,
    status: RunStatus,
    *,
    kind: str = "search",
    kept: str = "What was finished is kept.",
    again: str = "Resume",
) -> None:
    """Say why a run stopped early and what is ``kept``, and offer to go on with it."""
    if status.state == "failed":
        st.error(plain(status.error or "no reason was given"), title=f"This {kind} failed")
    elif status.state == "cancelled":
        st.warning(kept, title=f"This {kind} was cancelled")
    elif status.state == "queued":
        st.warning("No worker process has taken it up.", title=f"This {kind} has not begun")
    else:
        st.warning(
            f"Its worker process ended without a word. {kept}",
            title=f"This {kind} stopped unexpectedly",
        )
    if problem := why_it_cannot_go_on(run):
        st.caption(f":material/block: It cannot go on: {plain(problem)}")
        return
    st.button(
        again,
        icon=":material/resume:",
        key="resume_run",
        on_click=attempt,
        args=(workers.start_again, run),
    )


def attempt(act: Callable[[Run], object], run: Run) -> None:
    """Do something to a run; what stands in the way is told when the page is drawn."""
    try:
        act(run)
    except QCQAError as error:
        st.session_state[_PROBLEM] = error.one_line()


def tell_problem() -> None:
    """Say once what stood in the way of cancelling or resuming."""
    if problem := st.session_state.pop(_PROBLEM, None):
        show_error(problem)


def _progress_text(status: RunStatus, stage: str | None) -> str:
    if status.state == "queued" or (status.stage == "starting" and status.pid is None):
        return "Starting the worker process …"
    if stage is None:
        stage = status.stage + (f", {status.step} of {status.total}" if status.total else "")
    return f"**{100 * status.fraction:.0f} %** · {plain(stage)}{_time_text(status)}"


def _time_text(status: RunStatus) -> str:
    """Return the time taken, and an estimate of what is left once there is ground for one."""
    if not status.started:
        return ""
    taken = seconds_since(status.started)
    text = f" · {clock(taken)} so far"
    left = status.seconds_left()
    return text if left is None else f"{text}, about {clock(left)} left"
