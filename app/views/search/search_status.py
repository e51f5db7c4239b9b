"""The chosen search on its own page: its stages while it is at work, and how it went."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import streamlit as st
from ui import workers
from ui.chart import legible
from ui.errors import shown_in_place
from ui.live import SECONDS_BETWEEN_LOOKS, is_live, progress_row, stopped
from ui.results import result_of
from ui.state import redrawn_alone
from ui.wording import when

from qcqa.charts.common.duration import clock
from qcqa.charts.common.markup import plain
from qcqa.charts.jobs.progress import (
    REFERENCE,
    convergence,
    has_hypervolume,
    optimal_hypervolume,
    progress_figure,
)
from qcqa.charts.jobs.stages import Stage, layers_figure, search_stages, stage_names
from qcqa.jobs.run import Run
from qcqa.jobs.status import RunStatus

_ICONS = {
    "done": ":green[:material/check_circle:]",
    "working": ":blue[:material/pending:]",
    "waiting": ":gray[:material/radio_button_unchecked:]",
}

Events = Sequence[Mapping[str, Any]]


def search_status(run: Run) -> None:
    """Draw the run that is chosen, in whatever state it is."""
    status = run.status()
    if is_live(run, status):
        _live(run)
        return
    with st.container(border=True, key="search_done"):
        if status.state == "finished":
            _finished(status)
        else:
            stopped(run, status)
        events = run.events()
        if any(event.get("event") == "progress" for event in events):
            stages = _stages(run, events, finished=status.state == "finished")
            details = st.expander(
                "How it went", on_change="rerun", key="how_it_went", type="compact"
            )
            if details.open:
                with details:
                    _details(run, events, stages)


@st.fragment(run_every=SECONDS_BETWEEN_LOOKS)
@redrawn_alone
def _live(run: Run) -> None:
    """Follow a run at work; the rest of the page is drawn anew when it ends."""
    workers.reap()
    with shown_in_place():
        status = run.status()
        if not is_live(run, status):
            st.rerun()
        with st.container(border=True, key="live"):
            events = run.events()
            stages = _stages(run, events, finished=False)
            working = next((stage.name for stage in stages if stage.state == "working"), None)
            progress_row(run, status, stage=working)
            _details(run, events, stages)
            if result_of(run) is not None:
                _link_to_explore("Explore the fronts so far")


def _finished(status: RunStatus) -> None:
    """Say in a line that a search has finished, and lead on."""
    text = f":green[:material/check_circle:] **Finished** {when(status.finished or '')}"
    if status.started and status.finished:
        taken = datetime.fromisoformat(status.finished) - datetime.fromisoformat(status.started)
        text += f", after {clock(taken.total_seconds())}"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(text, width="stretch")
        _link_to_explore("Explore its fronts")


def _link_to_explore(label: str) -> None:
    st.page_link("views/explore/explore.py", label=label, icon=":material/query_stats:")


def _stages(run: Run, events: Events, *, finished: bool) -> list[Stage]:
    names = stage_names(run.search.methods, run.search.settings)
    return search_stages(names, events, finished=finished)


def _details(run: Run, events: Events, stages: list[Stage]) -> None:
    """Draw the stages of a search, their layers while not all are done, and the hypervolume."""
    finished = all(stage.state == "done" for stage in stages)
    left, right = st.columns([2, 3] if not finished else [1, 3], gap="medium")
    left.markdown("  \n".join(_line(stage) for stage in stages))
    if not finished:
        with right:
            _layers(stages)
    with right if finished else st.container():
        _hypervolume(run, events)


def _layers(stages: list[Stage]) -> None:
    by_layer = [stage for stage in stages if stage.num_layers]
    if by_layer:
        st.plotly_chart(
            legible(layers_figure(by_layer)),
            key="layers_chart",
            config={"displayModeBar": False},
            alt="Layers that are finished in every stage of the search",
        )


def _hypervolume(run: Run, events: Events) -> None:
    if not has_hypervolume(events):
        return
    result = result_of(run)
    st.plotly_chart(
        legible(progress_figure(events, optimal=optimal_hypervolume(result) if result else None)),
        key="progress_chart",
        config={"displayModeBar": False},
        alt="Hypervolume of the fronts found so far",
    )
    if found := convergence(events):
        st.markdown(
            "  \n".join(f":material/trending_flat: {plain(trend.text())}" for trend in found)
        )
    st.caption(REFERENCE)


def _line(stage: Stage) -> str:
    """Return one stage of the list."""
    text = f"{_ICONS[stage.state]} {plain(stage.name[0].upper() + stage.name[1:])}"
    if stage.state == "waiting":
        return f":gray[{text}]"
    if stage.state == "working" and stage.total:
        text += f" · {stage.step} of {stage.total}"
    return f"{text} · {clock(stage.seconds)}" if stage.seconds >= 1 else text
