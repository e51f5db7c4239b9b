"""The worker processes that this server started: kept, so that none is left a zombie."""

import subprocess

import streamlit as st

from qcqa.jobs.launch import resume, start_worker
from qcqa.jobs.run import Run


@st.cache_resource(show_spinner=False)
def _processes() -> "dict[str, subprocess.Popen[bytes]]":
    return {}


def asked(label: str, said: str, *, key: str, can_start: bool) -> bool:
    """Say what would be done beside the button that starts it; return whether it was clicked."""
    left, right = st.columns([3, 1], vertical_alignment="center", gap="medium")
    left.caption(said)
    return right.button(
        label,
        type="primary",
        icon=":material/play_arrow:",
        width="stretch",
        key=key,
        disabled=not can_start,
    )


def start(run: Run) -> None:
    """Start the worker of a queued run; it goes on when the dashboard is closed."""
    _processes()[run.id] = start_worker(run)


def start_again(run: Run) -> None:
    """Start a worker that goes on where an earlier one stopped."""
    _processes()[run.id] = resume(run)


def reap() -> None:
    """Let go of workers that have ended."""
    processes = _processes()
    for run_id in [name for name, process in processes.items() if process.poll() is not None]:
        processes.pop(run_id, None)
