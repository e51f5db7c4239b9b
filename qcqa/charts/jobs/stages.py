"""How far a search is: its stages, and in each the layers that are done."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import plotly.graph_objects as go

from qcqa.model.spec import MOST_HEADS
from qcqa.search.method_sets import with_baselines
from qcqa.search.methods import METHODS, wants_calibration
from qcqa.search.search import BOUND, READING, TEXT
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.rescoring import MEASURING

StageState = Literal["done", "working", "waiting"]
Events = Sequence[Mapping[str, Any]]

#: Ends the name of a stage that only searches of few heads have.
_TABLES = ": tables for stage 1"

_DONE_COLOUR, _WAITING_COLOUR = "#1B75BC", "rgba(127, 133, 141, 0.25)"


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of a search.

    Parameters
    ----------
    name : str
        As in the run's events: ``QCQA-AC: stage 1``.
    state : StageState
        ``working`` is the first that is not done.
    step, total : int
        Of its layers, slots or generations; 0 before it has begun.
    seconds : float
        What it has taken so far.
    num_layers : int
        Layers that it does one by one; 0 where it does not, or none is known yet.
    layers_done : frozenset of int
        Those that are finished.
    """

    name: str
    state: StageState
    step: int
    total: int
    seconds: float
    num_layers: int
    layers_done: frozenset[int]


def stage_names(methods: Iterable[str], settings: SearchSettings) -> list[str]:
    """Return the stages of a search in their order, as its events name them."""
    wanted = with_baselines(methods)
    text = [TEXT] if wants_calibration(wanted, settings) else []
    names = [READING, *text, BOUND]
    for name in wanted:
        method = METHODS[name]
        is_measured = method.settings(settings).judged_by == "loss"
        stages = ["stage 1"] if method.needs_search else []
        # Of the baselines GQA has all groupings that are not the source's own.
        if is_measured and (method.needs_search or name == "gqa"):
            stages.append(MEASURING)
        if method.strategy == "two-stage":
            stages.append("stage 2")
        names += [f"{method.label}: {stage}" for stage in stages]
    return names


def search_stages(names: Sequence[str], events: Events, *, finished: bool) -> list[Stage]:
    """Return how far each stage is.

    Parameters
    ----------
    names : sequence of str
        What :func:`stage_names` returns.
    events : sequence of mapping
        Rows of the run's ``events.jsonl``, of all its workers.
    finished : bool
        Whether the search is.
    """
    seen = {event.get("stage") for event in events}
    names = [stage for name in names for stage in _with_tables(name) if stage in (name, *seen)]
    latest = {event["stage"]: event for event in events if event.get("stage") in names}
    reached = max((names.index(name) for name in latest), default=-1)
    seconds = _seconds(events)
    reading = latest.get(READING)
    stages: list[Stage] = []
    for place, name in enumerate(names):
        event = latest.get(name, {})
        step, total = int(event.get("step", 0)), int(event.get("total", 0))
        # A kept part is not done again by a worker that goes on, and says nothing more.
        is_done = finished or place < reached or 0 < total <= step
        by_layer = name.endswith((": stage 1", ": measuring the loss"))
        # Whatever the file says, no model has more.
        num_layers = min(reading.get("total", 0), MOST_HEADS) if reading and by_layer else 0
        stages.append(
            Stage(
                name=name,
                state="done" if is_done else "waiting",
                step=step,
                total=total,
                seconds=seconds.get(name, 0.0),
                num_layers=num_layers,
                layers_done=frozenset(range(num_layers))
                if is_done
                else _layers_done(events, name, num_layers),
            )
        )
    return _with_one_working(stages)


def layers_figure(stages: Sequence[Stage]) -> go.Figure:
    """Return a strip of layers for each stage: done, or not yet.

    Parameters
    ----------
    stages : sequence of Stage
        At least one, all of them with layers of their own.
    """
    num_layers = stages[0].num_layers
    done = [[int(layer in stage.layers_done) for layer in range(num_layers)] for stage in stages]
    figure = go.Figure(
        go.Heatmap(
            z=done,
            y=[stage.name.replace(": ", ", ") for stage in stages],
            text=[["finished" if is_done else "not yet" for is_done in row] for row in done],
            zmin=0,
            zmax=1,
            colorscale=[[0, _WAITING_COLOUR], [1, _DONE_COLOUR]],
            showscale=False,
            xgap=2 if num_layers <= 40 else 1,
            ygap=4,
            hovertemplate="%{y}<br>layer %{x}: %{text}<extra></extra>",
        )
    )
    figure.update_xaxes(title_text="layer", showgrid=False, zeroline=False, tickformat="d")
    figure.update_yaxes(autorange="reversed", showgrid=False, automargin=True)
    figure.update_layout(height=60 + 26 * len(stages), margin={"l": 8, "r": 8, "t": 4, "b": 8})
    return figure


def _with_tables(name: str) -> tuple[str, ...]:
    """Return a stage, after the tables that may come before it."""
    method, is_first, _ = name.partition(": stage 1")
    return (method + _TABLES, name) if is_first else (name,)


def _with_one_working(stages: list[Stage]) -> list[Stage]:
    for place, stage in enumerate(stages):
        if stage.state == "waiting":
            return [*stages[:place], replace(stage, state="working"), *stages[place + 1 :]]
    return stages


def _seconds(events: Events) -> dict[str, float]:
    """Return what passed until each stage's events, while a worker was there."""
    seconds: dict[str, float] = {}
    before: datetime | None = None
    for event in events:
        time, stage = datetime.fromisoformat(event["time"]), event.get("stage")
        # Before a worker started there was none.
        if before is not None and stage is not None:
            seconds[stage] = seconds.get(stage, 0.0) + (time - before).total_seconds()
        before = time
    return seconds


def _layers_done(events: Events, name: str, num_layers: int) -> frozenset[int]:
    """Return the layers that are done in a stage; keys and values apart are two steps of each."""
    steps: Counter[int] = Counter()
    needed = 1
    for event in events:
        if event.get("event") == "started":
            # The next worker says again what it found finished.
            steps.clear()
        elif event.get("stage") == name and event.get("layer") is not None:
            steps[int(event["layer"])] += 1
            needed = max(1, event.get("total", 0) // max(1, num_layers))
    return frozenset(layer for layer, count in steps.items() if count >= needed)
