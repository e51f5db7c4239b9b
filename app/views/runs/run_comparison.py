"""Several runs at once: the settings in which they differ, and deleting them together."""

import streamlit as st
from ui.errors import shown_in_place
from ui.run_picker import run_id
from views.runs.run_dialogs import open_dialog

from qcqa.charts.jobs.run_settings import compare_settings, setting_text
from qcqa.jobs.run import Run
from qcqa.jobs.store import DamagedRun


def several_runs(chosen: list[Run | DamagedRun]) -> None:
    """Draw what differs between runs, of which there are two or more."""
    with st.container(border=True, key="run_comparison"):
        st.subheader(f"{len(chosen)} runs selected", anchor=False)
        runs = [run for run in chosen if isinstance(run, Run)]
        with shown_in_place():
            _differences(runs)
        deletable = [run_id(run) for run in chosen if not (isinstance(run, Run) and run.bundled)]
        st.button(
            f"Delete {len(deletable)} runs" if len(deletable) != 1 else "Delete 1 run",
            icon=":material/delete:",
            key="open_delete",
            disabled=not deletable,
            on_click=open_dialog,
            args=("delete", *deletable),
        )


def _differences(runs: list[Run]) -> None:
    if len(runs) < 2:
        st.caption("A damaged run has no settings to compare.")
        return
    table = compare_settings(runs).map(setting_text)
    if table.empty:
        st.markdown("Nothing differs: the same model, searched with the same settings.")
        return
    # Names may be equal, and columns must not.
    names = [run.name for run in runs]
    table.columns = [
        run.name if names.count(run.name) == 1 else f"{run.name} · {run.id}" for run in runs
    ]
    st.dataframe(
        table.reset_index(),
        hide_index=True,
        height="content",
        column_config={"setting": st.column_config.TextColumn(pinned=True)},
        alt="Settings in which the selected runs differ",
    )
    st.caption(f"Shows the settings, models and versions in which the {len(runs)} runs differ.")
