"""One run: what it is, its jobs, and what can be done with it."""

from functools import partial
from io import BytesIO

import streamlit as st
from ui import workers
from ui.errors import show_error, shown_in_place
from ui.live import SECONDS_BETWEEN_LOOKS, attempt, progress_row, stopped
from ui.looks import why_it_cannot_go_on
from ui.state import redrawn_alone
from ui.wording import when
from views.runs.run_dialogs import open_dialog
from views.runs.runs_list import outcome_of_run

from qcqa.charts.common.markup import plain
from qcqa.charts.common.palette import in_order, method_style
from qcqa.errors import RunError
from qcqa.jobs.archive import packed_files, write_archive
from qcqa.jobs.jobs import jobs_of
from qcqa.jobs.run import Run
from qcqa.jobs.store import DamagedRun
from qcqa.sizes import bytes_text


def run_panel(run: Run | DamagedRun) -> None:
    """Draw one run: all that can be done with it, or why it cannot be opened."""
    with st.container(border=True, key="run_panel", gap="small"):
        if isinstance(run, DamagedRun):
            _title(run.folder.name, str(run.folder))
            show_error(run.error)
            _delete_button(run.folder.name)
            return
        _title(run.name, f"{run.id} · {when(run.config.created)}")
        if run.note:
            # As it was typed: line by line, and nothing in it is markup.
            st.text(run.note)
        with shown_in_place():
            _work(run)
        _acts(run)
        jobs = jobs_of(run)
        if not jobs:
            with shown_in_place():
                _facts(run)
            return
        left, right = st.columns(2, gap="medium")
        with left, shown_in_place():
            _facts(run)
        with right:
            _jobs(jobs)


def _title(name: str, caption: str) -> None:
    with st.container(gap=None):
        st.subheader(plain(name), anchor=False)
        st.caption(plain(caption))


def _work(run: Run) -> None:
    """Draw how far the run and its jobs are, or why the run stopped early."""
    at_work = [job.id for job in (run, *jobs_of(run)) if job.is_at_work()]
    if at_work:
        _live(run, at_work)
    status = run.status()
    if run.id not in at_work and status.state != "finished":
        stopped(run, status)


@st.fragment(run_every=SECONDS_BETWEEN_LOOKS)
@redrawn_alone
def _live(run: Run, seen: list[str]) -> None:
    """Follow what is at work; the page is drawn anew when something begins or ends."""
    workers.reap()
    with shown_in_place():
        at_work = [job for job in (run, *jobs_of(run)) if job.is_at_work()]
        if [job.id for job in at_work] != seen:
            st.rerun()
        for job in at_work:
            progress_row(job, job.status(), key=f"cancel_{_name(job)}")


def _acts(run: Run) -> None:
    with st.container(horizontal=True, gap="small"):
        if st.button(
            "Open",
            icon=":material/query_stats:",
            type="primary",
            key="open_run",
            help="Show its fronts and plans on Explore.",
        ):
            st.switch_page("views/explore/explore.py")
        st.button(
            "Name and note",
            icon=":material/edit:",
            key="open_label",
            disabled=run.bundled,
            help="The included run keeps its name." if run.bundled else None,
            on_click=open_dialog,
            args=("label", run.id),
        )
        st.download_button(
            "Download zip",
            # Packed when it is asked for, and not whenever the page is drawn.
            partial(_zip, run),
            file_name=f"{run.id}.zip",
            mime="application/zip",
            icon=":material/folder_zip:",
            help="The whole run, to be loaded by someone else, without the calibration. "
            f"Before it is packed: {_size(run)}.",
            on_click="ignore",
            key="download_run",
        )
        _delete_button(run.id, disabled=run.bundled)


def _delete_button(name: str, *, disabled: bool = False) -> None:
    st.button(
        "Delete",
        icon=":material/delete:",
        key="open_delete",
        disabled=disabled,
        help="The included run cannot be deleted." if disabled else None,
        on_click=open_dialog,
        args=("delete", name),
    )


def _facts(run: Run) -> None:
    asked, found = run.search, outcome_of_run(run)
    facts = {
        "Best at 50 % KV": found.best.text if found.best else "\N{EM DASH}",
        "Measured plans": str(found.num_measured),
        "Model": asked.model,
        "Methods": ", ".join(method_style(name).label for name in in_order(asked.methods)),
        "Seed": str(asked.settings.seed),
        "Calibration text": asked.calibration or "\N{EM DASH}",
        "Folder": str(run.folder),
    }
    st.table(
        {name: plain(value) for name, value in facts.items()}, border="horizontal", width="content"
    )


def _jobs(jobs: list[Run]) -> None:
    """Draw the evaluations and other jobs of a search, a line each."""
    st.markdown("**Jobs of this search**")
    for job in jobs:
        state, problem = _state(job)
        at_work = job.is_at_work()
        is_stopped = not at_work and state not in ("finished", "damaged")
        hindrance = why_it_cannot_go_on(job) if is_stopped else None
        with st.container(gap=None):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(
                    f"{job.config.kind.capitalize()}: **{plain(job.name)}** · {state} · "
                    f"{when(job.config.created)}",
                    width="stretch",
                )
                if is_stopped and hindrance is None:
                    st.button(
                        "Resume",
                        icon=":material/resume:",
                        key=f"resume_{_name(job)}",
                        on_click=attempt,
                        args=(workers.start_again, job),
                    )
                if not at_work:
                    st.button(
                        "Delete",
                        icon=":material/delete:",
                        key=f"delete_{_name(job)}",
                        on_click=open_dialog,
                        args=("delete", str(job.folder)),
                    )
            if problem:
                st.caption(plain(problem))
            if hindrance and hindrance != problem:
                st.caption(f"It cannot go on: {plain(hindrance)}")


def _name(run: Run) -> str:
    """Return what no other run of the page has: jobs of two kinds may have the same id."""
    return f"{run.config.kind}_{run.id}"


def _state(job: Run) -> tuple[str, str | None]:
    """Return the state of a job, and what is wrong with it in one line."""
    try:
        status = job.status()
    except RunError as error:
        return "damaged", error.one_line()
    return status.state, status.error


def _zip(run: Run) -> BytesIO:
    file = BytesIO()
    write_archive(run, file)
    file.seek(0)
    return file


def _size(run: Run) -> str:
    return bytes_text(sum(path.stat().st_size for path in packed_files(run).values()))
