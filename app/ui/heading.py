"""The top of every page: what it is, and the run that it shows."""

import streamlit as st

from qcqa.jobs.run import Run
from qcqa.jobs.store import DamagedRun
from ui.run_picker import pick_run


def page_heading(title: str, caption: str, *, with_button: bool = True) -> Run | DamagedRun | None:
    """Draw title and list of runs side by side; return the run that is chosen.

    Parameters
    ----------
    title, caption : str
        Name of the page, and the question that it answers.
    with_button : bool
        Whether the button that leads to the form of a new search stands beside the list.
    """
    left, right = st.columns([4, 5], vertical_alignment="bottom", gap="medium")
    with left:
        heading(title, caption)
    with right:
        return pick_run(with_button=with_button)


def heading(title: str, caption: str) -> None:
    """Draw a page's title and the question that it answers."""
    with st.container(gap=None):
        st.header(title, anchor=False)
        st.caption(caption)
