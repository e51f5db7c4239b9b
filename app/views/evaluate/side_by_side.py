"""Side by side: one prompt, the source and up to three plans."""

import streamlit as st
from ui import workers
from ui.errors import shown_in_place
from ui.live import is_live, progress_row, stopped
from ui.state import choices, choose, controlled, redrawn_alone
from ui.wording import when
from views.evaluate.generate_form import generate_form
from views.evaluate.generated_texts import generated_texts

from qcqa.charts.common.palette import method_style
from qcqa.jobs.config import GenerationConfig
from qcqa.jobs.generations import generations_of
from qcqa.jobs.jobs import jobs_of
from qcqa.jobs.run import Run
from qcqa.search.result import SearchResult

#: Texts should flow, not jump.
_SECONDS_BETWEEN_LOOKS = 0.3


def side_by_side(run: Run, result: SearchResult) -> None:
    """Draw the form, and the generation that was chosen or is the newest.

    Raises
    ------
    RunError
        If its files are damaged.
    """
    kept = generations_of(run)
    chosen = next((job for job in kept if job.folder.name == choices().generation), None)
    shown = chosen or next(iter(kept), None)
    is_at_work = any(is_live(job) for job in kept)
    with st.container(border=True):
        generate_form(run, result, shown, is_at_work=is_at_work)
    if shown is None:
        st.caption(
            "The texts show here: the source's, and beside it those of plans that have the smaller "
            "KV cache."
        )
        return
    if len(kept) > 1:
        _choice(kept, shown)
    status = shown.status()
    if is_live(shown, status):
        others = [job for job in jobs_of(run) if job.folder != shown.folder]
        if any(is_live(job) for job in others):
            st.caption("Another job is at work on this run: both take longer than alone.")
        _live(shown, result)
        return
    if status.state != "finished":
        stopped(
            shown,
            status,
            kind="generation",
            kept="What was generated until then is shown.",
            again="Generate again",
        )
    generated_texts(shown, result)


def _choice(kept: list[Run], shown: Run) -> None:
    """Offer the generations that are kept."""
    by_name = {job.folder.name: job for job in kept}
    newest = kept[0].folder.name
    st.selectbox(
        "Generation",
        list(by_name),
        format_func=lambda name: _label(by_name[name]),
        **controlled(
            "generation_list",
            shown.folder.name,
            lambda name: choose(generation=None if name == newest else name),
        ),
    )


def _label(generation: Run) -> str:
    config = generation.config
    methods = (
        [method_style(method).label for method, _ in config.points]
        if isinstance(config, GenerationConfig)
        else []
    )
    return f"{config.name} · {', '.join(methods) or 'source alone'} · {when(config.created)}"


@st.fragment(run_every=_SECONDS_BETWEEN_LOOKS)
@redrawn_alone
def _live(generation: Run, result: SearchResult) -> None:
    """Follow a generation; the page is drawn anew when it has ended."""
    workers.reap()
    with shown_in_place():
        status = generation.status()
        if not is_live(generation, status):
            st.rerun()
        with st.container(border=True, key="live"):
            progress_row(generation, status)
        generated_texts(generation, result)
