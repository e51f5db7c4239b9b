"""How a search went: the hypervolume of its fronts, layer by layer and generation by generation."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from qcqa.charts.common.palette import in_order, method_style
from qcqa.search.result import SearchResult
from qcqa.search.strategy.pareto import hypervolume

#: The point that no front may lie beyond, the same for all of a search: said beside every chart.
REFERENCE = (
    "Hypervolume: the share of the area up to the reference point **KV ratio 1, relative WSE 1** "
    "that the front dominates: in stage 1 of each layer, in stage 2 of the whole model. "
    "Where a search minimises another error, its largest stands for relative WSE 1."
)
#: Less than this share of a hypervolume is no improvement.
_ROUNDING = 1e-4
#: Generations without any after which more are not worth their time, and their share of all.
_STILL, _STILL_SHARE = 100, 0.2
#: Of the figure, in pixels.
_HEIGHT = 240
_STAGES = ("stage 1", "stage 2")
_PLACES = {"stage 1": "layer (stage 1)", "stage 2": "generation (stage 2)"}


@dataclass(frozen=True, slots=True)
class Convergence:
    """Whether stage 2 of a method still improves.

    Parameters
    ----------
    method : str
        Its name.
    step, total : int
        Generations done, and of all.
    unchanged_for : int
        Generations since the hypervolume last grew.
    """

    method: str
    step: int
    total: int
    unchanged_for: int

    @property
    def has_stopped(self) -> bool:
        """Whether more generations will hardly help."""
        return self.unchanged_for >= max(_STILL, _STILL_SHARE * self.total)

    def text(self) -> str:
        """Return it in a sentence."""
        label = method_style(self.method).label
        if self.has_stopped:
            return (
                f"{label}: unchanged for the last {self.unchanged_for} generations; "
                "more will hardly help."
            )
        if self.step >= self.total:
            return f"{label}: it still improved near its end; more generations might help."
        return f"{label}: still improving."


def convergence(events: Iterable[Mapping[str, Any]]) -> list[Convergence]:
    """Return for each method that has reached stage 2 whether it still improves.

    Parameters
    ----------
    events : iterable of mapping
        Rows of a run's ``events.jsonl``.
    """
    rows = [event for event in events if event.get("hypervolume") is not None]
    found = []
    for method in in_order(event["method"] for event in rows):
        volumes = _latest_per_step(rows, method, "stage 2")
        if volumes:
            last = max(volumes)
            reached = (1 - _ROUNDING) * volumes[last]
            first = min(step for step, volume in volumes.items() if volume >= reached)
            total = max(
                int(event.get("total", last))
                for event in rows
                if event["method"] == method and _is_of(event, "stage 2")
            )
            found.append(Convergence(method, last, total, last - first))
    return found


def optimal_hypervolume(result: SearchResult) -> float | None:
    """Return what stage 2 of a search by WSE can reach at most, as far as is known; or None."""
    front = result.fronts.get("optimal")
    if front is None or front.fitness != "wse" or front.apart:
        return None
    spec = result.spec
    return hypervolume(front.cost, front.error, max_cost=spec.kv_bits, max_error=result.grams.trace)


def progress_figure(
    events: Iterable[Mapping[str, Any]], *, optimal: float | None = None
) -> go.Figure:
    """Return the hypervolume of each finished layer, and of the front over layers.

    Parameters
    ----------
    events : iterable of mapping
        Rows of a run's ``events.jsonl``.
    optimal : float, optional
        What :func:`optimal_hypervolume` returns, drawn as a line in stage 2.
    """
    measured = [event for event in events if event.get("hypervolume") is not None]
    figure = make_subplots(rows=1, cols=2, horizontal_spacing=0.1)
    methods = in_order(event["method"] for event in measured)
    shown: set[str] = set()
    for column, stage in enumerate(_STAGES, start=1):
        for method in methods:
            rows = _latest_per_step(measured, method, stage)
            if not rows:
                continue
            style = method_style(method)
            figure.add_trace(
                go.Scatter(
                    x=list(rows),
                    y=list(rows.values()),
                    name=style.label,
                    legendgroup=method,
                    showlegend=method not in shown,
                    mode="markers" if stage == "stage 1" else "lines",
                    line={"color": style.colour, "dash": style.dash, "width": 2.2},
                    marker={"color": style.colour, "symbol": style.symbol, "size": 8},
                    hovertemplate=f"<b>{style.label}</b><br>"
                    f"{'layer' if column == 1 else 'generation'} %{{x}}"
                    "<br>hypervolume %{y:.4f}<extra></extra>",
                ),
                row=1,
                col=column,
            )
            shown.add(method)
    for column, stage in enumerate(_STAGES, start=1):
        figure.update_xaxes(title_text=_PLACES[stage], zeroline=False, row=1, col=column)
        if not any(_is_of(event, stage) for event in measured):
            _say_not_yet(figure, column)
    if optimal is not None and any(_is_of(event, "stage 2") for event in measured):
        style = method_style("optimal")
        figure.add_hline(
            optimal,
            row=1,
            col=2,
            line={"color": style.colour, "dash": "dot", "width": 1.4},
            annotation={"text": f"{style.label} front", "font": {"size": 11}},
            annotation_position="bottom right",
        )
    figure.update_yaxes(zeroline=False, automargin=True)
    figure.update_yaxes(title_text="hypervolume (higher is better)", row=1, col=1)
    figure.update_layout(
        height=_HEIGHT,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        legend={"orientation": "h", "x": 0, "y": 1.04, "yanchor": "bottom", "title": {"text": ""}},
    )
    return figure


def has_hypervolume(events: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether :func:`progress_figure` has anything to draw yet."""
    return any(event.get("hypervolume") is not None for event in events)


def _latest_per_step(
    events: Iterable[Mapping[str, Any]], method: str, stage: str
) -> dict[int, float]:
    """Return the hypervolume by layer or generation; a resumed run says some of them twice."""
    place = "layer" if stage == "stage 1" else "step"
    rows = {
        int(event[place]): float(event["hypervolume"])
        for event in events
        if event.get("method") == method and _is_of(event, stage) and event.get(place) is not None
    }
    return dict(sorted(rows.items()))


def _is_of(event: Mapping[str, Any], stage: str) -> bool:
    return str(event.get("stage", "")).endswith(stage)


def _say_not_yet(figure: go.Figure, column: int) -> None:
    """Fill the panel of a stage that no method has come to."""
    figure.update_xaxes(range=[0, 1], showticklabels=False, showgrid=False, row=1, col=column)
    figure.update_yaxes(range=[0, 1], showticklabels=False, showgrid=False, row=1, col=column)
    # A trace without points: without any, no axes are drawn.
    figure.add_trace(go.Scatter(x=[], y=[], showlegend=False), row=1, col=column)
    figure.add_annotation(
        text="not reached yet", x=0.5, y=0.5, showarrow=False, opacity=0.6, row=1, col=column
    )
