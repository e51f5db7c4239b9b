"""Choosing a run: one list of all, and the button that starts another."""

from collections.abc import Mapping

import streamlit as st

from qcqa.charts.common.markup import plain
from qcqa.jobs.run import Run
from qcqa.jobs.store import DamagedRun, list_runs
from ui.state import choices, choose, controlled
from ui.wording import when


def pick_run(*, with_button: bool = True) -> Run | DamagedRun | None:
    """Draw the list of runs and return the one that is chosen, or None if there is none.

    Parameters
    ----------
    with_button : bool
        Whether the button that leads to the form of a new search stands beside it.
    """
    runs = {run_id(run): run for run in list_runs()}
    chosen = choices().run
    row = st.container(horizontal=True, vertical_alignment="bottom", gap="small")
    if runs:
        shown = chosen if chosen in runs else default_run(runs)
        labels = run_labels(runs)
        row.selectbox(
            "Run",
            list(runs),
            format_func=lambda key: labels[key],
            width="stretch",
            **controlled("run_list", shown, lambda run: choose(run=run, method=None)),
        )
    if with_button and row.button("New search", icon=":material/add:", key="new_search"):
        st.switch_page("views/search/search.py")
    tell_if_gone(runs)
    return runs[shown] if runs else None


def tell_if_gone(runs: Mapping[str, Run | DamagedRun]) -> None:
    """Say so where the address asks for a run that is not here."""
    chosen = choices().run
    if chosen is not None and chosen not in runs:
        st.warning(
            f"The address asks for the run {plain(repr(chosen))}, which is not here"
            + ("; another one is shown." if runs else "."),
            icon=":material/link_off:",
        )


def default_run(runs: Mapping[str, Run | DamagedRun]) -> str:
    """Return the included run, or else the newest."""
    included = [name for name, run in runs.items() if isinstance(run, Run) and run.bundled]
    return (included or list(runs))[0]


def run_id(run: Run | DamagedRun) -> str:
    """Return what a run is called in the address."""
    return run.id if isinstance(run, Run) else run.folder.name


def run_labels(runs: dict[str, Run | DamagedRun]) -> dict[str, str]:
    """Return a label for every run, each another.

    No label may change while a run goes on: the browser knows an option by its label.
    """
    labels: dict[str, str] = {}
    for name, run in runs.items():
        label = _label(run)
        labels[name] = f"{label} · {name}" if label in labels.values() else label
    return labels


def _label(run: Run | DamagedRun) -> str:
    if isinstance(run, DamagedRun):
        return f"{run.folder.name} · cannot be opened"
    if run.bundled:
        return f"{run.name} · included"
    return f"{run.name} · {when(run.config.created)}"
