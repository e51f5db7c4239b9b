"""Search: start a search of a model, see what it takes, and follow it."""

import streamlit as st
from ui import workers
from ui.errors import show_error, shown_in_place
from ui.heading import page_heading
from ui.live import tell_problem
from views.search.search_form import search_form
from views.search.search_others import others_at_work
from views.search.search_status import search_status

from qcqa.jobs.store import DamagedRun

workers.reap()
with shown_in_place():
    run = page_heading(
        "Search", "Which model, how thoroughly, and how far is it?", with_button=False
    )
    tell_problem()
    if isinstance(run, DamagedRun):
        show_error(run.error)
    elif run is not None:
        search_status(run)
    others_at_work(run)
st.subheader("New search", anchor=False)
search_form()
