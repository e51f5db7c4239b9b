"""Runs: all searches, what each offers, and what can be done with them."""

import streamlit as st
from ui import workers
from ui.errors import shown_in_place
from ui.heading import heading
from ui.live import tell_problem
from ui.run_picker import run_id, tell_if_gone
from views.runs.run_comparison import several_runs
from views.runs.run_dialogs import dialog_is_open, open_dialog, show_dialog
from views.runs.run_panel import run_panel
from views.runs.runs_list import runs_list

from qcqa.jobs.store import list_runs


def top() -> None:
    """Draw the title, and beside it what adds a run."""
    left, right = st.columns([4, 5], vertical_alignment="bottom", gap="medium")
    with left:
        heading("Runs", "How far is every search, and what does it offer?")
    with right, st.container(horizontal=True, horizontal_alignment="right", gap="small"):
        st.button(
            "Load a run",
            icon=":material/upload:",
            key="open_load",
            on_click=open_dialog,
            args=("load",),
        )
        if st.button("New search", icon=":material/add:", key="new_search"):
            st.switch_page("views/search/search.py")


workers.reap()
with shown_in_place():
    top()
    runs = {run_id(run): run for run in list_runs()}
    tell_if_gone(runs)
    tell_problem()
    if not runs:
        with st.container(border=True, horizontal_alignment="center"):
            st.subheader("No runs yet", anchor=False, text_alignment="center")
            st.markdown(
                "Start a search with **New search**, or take over a colleague's with "
                "**Load a run**: a zip file or a copied folder.",
                text_alignment="center",
            )
    else:
        st.caption("Select a run to open, name, share or delete it; several to compare them.")
        chosen = runs_list(runs)
        if len(chosen) == 1:
            run_panel(chosen[0])
        elif chosen:
            several_runs(chosen)
if dialog_is_open():
    show_dialog()
