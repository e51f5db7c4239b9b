"""Export: take the plan that is selected along, as files, as code and as a smaller checkpoint."""

import streamlit as st
from ui import workers
from ui.budget import budget_controls
from ui.errors import show_error, shown_in_place
from ui.heading import page_heading
from ui.live import tell_problem
from ui.plan_choice import chosen_plan, plan_choice
from ui.results import measured_of, result_of
from ui.state import redrawn_alone
from ui.unfinished import tell_unfinished
from views.export.conversion_card import conversion_card
from views.export.export_cards import charts_card, code_card, plan_card, tables_card

from qcqa.charts.fronts.comparison import points_at_budget
from qcqa.jobs.run import Run
from qcqa.jobs.store import DamagedRun
from qcqa.search.result import SearchResult


@st.fragment
@redrawn_alone
def export(run: Run, result: SearchResult) -> None:
    """Draw all that follows the budget; moving the slider redraws this and nothing else."""
    with shown_in_place():
        tell_unfinished(run)
        result, axis, max_kv_bits = budget_controls(result)
        points = points_at_budget(result, max_kv_bits)
        rows = measured_of(run)
        plan = None
        if plan_choice(points, result, max_kv_bits, rows) is None:
            st.warning("No plan fits this budget: choose a larger one.", icon=":material/info:")
        else:
            plan = chosen_plan(run, result, points, max_kv_bits, rows)
        with st.grid(3, min_column_width=280, gap="small"):
            if plan is not None:
                plan_card(run, plan, axis.load)
            tables_card(run, result, axis, max_kv_bits, rows)
            charts_card(run, result, axis, rows, plan)
        if plan is not None:
            # Jobs and commands know a plan by what it costs, whatever load is looked at.
            _, kv_bits = result.front(plan.method).point(max_kv_bits)
            conversion_card(run, plan, kv_bits)
            code_card(run, plan, kv_bits, rows)


workers.reap()
with shown_in_place():
    run = page_heading("Export", "Take the plan, its figures and the smaller model with you.")
    if run is None:
        st.info("There is no search yet. Start one with **New search**.", icon=":material/info:")
    elif isinstance(run, DamagedRun):
        show_error(run.error)
    elif (result := result_of(run)) is None:
        st.info("This search has no fronts yet: there is nothing to export.")
    else:
        tell_problem()
        export(run, result)
