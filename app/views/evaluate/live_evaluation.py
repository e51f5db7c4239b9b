"""Evaluations of a run: the one at work, and the last one where it stopped early."""

import streamlit as st
from ui import workers
from ui.errors import shown_in_place
from ui.live import SECONDS_BETWEEN_LOOKS, is_live, progress_row, stopped
from ui.results import Stamp, measured_stamp
from ui.state import redrawn_alone

from qcqa.jobs.evaluations import evaluations_of
from qcqa.jobs.run import Run


def newest_evaluation(run: Run) -> Run | None:
    """Draw the newest evaluation of a run unless it has finished, and return it.

    Raises
    ------
    RunError
        If its files are damaged.
    """
    newest = next(iter(evaluations_of(run)), None)
    if newest is not None:
        status = newest.status()
        if is_live(newest, status):
            _live(newest, run, measured_stamp(run))
        elif status.state != "finished":
            stopped(newest, status, kind="evaluation")
    return newest


@st.fragment(run_every=SECONDS_BETWEEN_LOOKS)
@redrawn_alone
def _live(evaluation: Run, run: Run, seen: Stamp) -> None:
    """Follow an evaluation; the page is only drawn anew when there is more to see."""
    workers.reap()
    with shown_in_place():
        status = evaluation.status()
        if not is_live(evaluation, status) or measured_stamp(run) != seen:
            st.rerun()
        with st.container(border=True, key="live"):
            progress_row(evaluation, status)
