"""What else is at work on this machine."""

import streamlit as st
from ui.live import is_live
from ui.state import address

from qcqa.charts.common.markup import plain
from qcqa.errors import QCQAError
from qcqa.jobs.evaluations import evaluations_of
from qcqa.jobs.run import Run
from qcqa.jobs.store import DamagedRun, list_runs


def others_at_work(shown: Run | DamagedRun | None) -> None:
    """Draw a link to every search and evaluation at work but the one that is shown."""
    shown_id = shown.id if isinstance(shown, Run) else None
    searches = [run for run in list_runs() if isinstance(run, Run)]
    links = [
        (f"{run.config.name} · search, {_percent(run)}", "search", run.id)
        for run in searches
        if run.id != shown_id and _is_at_work(run)
    ]
    links += [
        (f"{run.config.name} · evaluation, {_percent(evaluation)}", "evaluate", run.id)
        for run in searches
        for evaluation in evaluations_of(run)
        if _is_at_work(evaluation)
    ]
    if not links:
        return
    with st.container(border=True, gap=None, key="others_at_work"):
        st.markdown("**Also at work on this machine**")
        for label, page, run_id in links:
            st.page_link(
                f"views/{page}/{page}.py",
                label=plain(label),
                icon=":material/pending:",
                query_params=address(run=run_id, method=None),
            )


def _is_at_work(run: Run) -> bool:
    try:
        return is_live(run)
    except QCQAError:
        return False


def _percent(run: Run) -> str:
    return f"{100 * run.status().fraction:.0f} %"
