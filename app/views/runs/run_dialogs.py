"""What is asked before a run is named, deleted or loaded.

Which one is open is kept, as a page that follows a run at work draws itself anew now and then.
"""

import streamlit as st
from ui.errors import show_error
from ui.paths import typed_path
from ui.state import choices, choose

from qcqa.charts.common.markup import plain
from qcqa.charts.common.wording import counted
from qcqa.errors import QCQAError, RunError
from qcqa.jobs.jobs import jobs_of
from qcqa.jobs.label import MOST_OF_NAME, MOST_OF_NOTE
from qcqa.jobs.loading import load_run
from qcqa.jobs.run import Run
from qcqa.jobs.store import (
    DamagedRun,
    annotate_run,
    delete_run,
    find_any_run,
    find_run,
    rename_run,
)
from qcqa.sizes import bytes_text

_OPEN = "runs_dialog"


def open_dialog(kind: str, *ids: str) -> None:
    """Have a dialog shown until it is closed: ``load``, ``label`` or ``delete``."""
    st.session_state[_OPEN] = (kind, ids)


def _close() -> None:
    st.session_state[_OPEN] = None


def dialog_is_open() -> bool:
    """Return whether a dialog is to be shown."""
    return st.session_state.get(_OPEN) is not None


def show_dialog() -> None:
    """Draw the dialog that is open."""
    kind, ids = st.session_state[_OPEN]
    if kind == "load":
        _load()
    elif kind == "label":
        _label(*ids)
    else:
        _delete(ids)


@st.dialog("Load a run", icon=":material/upload:", on_dismiss=_close)
def _load() -> None:
    most = st.get_option("server.maxUploadSize")
    file = st.file_uploader("Zip of a run", type="zip", key="load_file")
    st.caption(f"Larger than {most} MB? Give its path below.")
    path = st.text_input(
        "Or a zip or run directory on this machine",
        placeholder="path of a file or folder",
        key="load_path",
    ).strip()
    st.caption("It is checked, and copied among your runs. The original stays as it is.")
    if not st.button(
        "Load",
        type="primary",
        icon=":material/upload:",
        width="stretch",
        key="load_run",
        disabled=file is None and not path,
    ):
        return
    try:
        with st.spinner("Checking and copying …"):
            loaded = load_run(file or typed_path(path, RunError))
    except QCQAError as error:
        show_error(error)
        return
    choose(run=loaded.id, method=None)
    _close()
    st.rerun()


@st.dialog("Name and note", icon=":material/edit:", on_dismiss=_close)
def _label(name: str) -> None:
    try:
        run = find_run(name)
        # A field of each run's own: what was typed for another must not be here.
        title = st.text_input("Name", run.name, max_chars=MOST_OF_NAME, key=f"label_name_{run.id}")
        note = st.text_area(
            "Note",
            run.note,
            max_chars=MOST_OF_NOTE,
            placeholder="what this run is for, or what it showed",
            key=f"label_note_{run.id}",
        )
        if st.button("Save", type="primary", width="stretch", key="save_label"):
            annotate_run(rename_run(run, title), note)
            _close()
            st.rerun()
    except QCQAError as error:
        show_error(error)


@st.dialog("Delete for good?", icon=":material/delete:", on_dismiss=_close)
def _delete(ids: tuple[str, ...]) -> None:
    try:
        runs = [find_any_run(name) for name in ids]
        for run in runs:
            _tell_what_goes(run)
        if st.button(
            "Delete" if len(runs) == 1 else f"Delete {len(runs)} runs",
            type="primary",
            icon=":material/delete:",
            width="stretch",
            key="confirm_delete",
        ):
            for run in runs:
                delete_run(run)
            if choices().run in ids:
                choose(run=None, method=None)
            _close()
            st.rerun()
    except QCQAError as error:
        show_error(error)


def _tell_what_goes(run: Run | DamagedRun) -> None:
    """Say what is deleted with a run."""
    size = sum(path.stat().st_size for path in run.folder.rglob("*") if path.is_file())
    if isinstance(run, DamagedRun):
        what = "Everything in a folder that cannot be opened as a run"
    elif "/" in run.id:
        what = "The job alone: what it has measured stays with its search"
    else:
        jobs = len(jobs_of(run))
        more = f", and {counted(jobs, 'job')}" if jobs else ""
        what = f"The search with all its plans and figures{more}"
    with st.container(gap=None):
        st.markdown(f"**{plain(run.name if isinstance(run, Run) else run.folder.name)}**")
        st.markdown(f"{what}: {bytes_text(size)}.")
        st.caption(plain(str(run.folder)))
