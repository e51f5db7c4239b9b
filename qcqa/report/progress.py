"""How a search went: the hypervolume of its fronts, layer by layer and generation by generation."""

from collections.abc import Iterable, Mapping
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from qcqa.report.palette import in_order, method_style

_STAGES = ("stage 1", "stage 2")
_PLACES = {"stage 1": "layer (stage 1)", "stage 2": "generation (stage 2, over the layers)"}


def progress_figure(events: Iterable[Mapping[str, Any]], *, height: int = 240) -> go.Figure:
    """Return the hypervolume of each finished layer, and of the front over layers.

    Parameters
    ----------
    events : iterable of mapping
        Rows of a run's ``events.jsonl``.
    height : int
        In pixels.
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
    figure.update_yaxes(zeroline=False, automargin=True)
    figure.update_yaxes(title_text="hypervolume (higher is better)", row=1, col=1)
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        legend={"orientation": "h", "x": 0, "y": 1.04, "yanchor": "bottom", "title": {"text": ""}},
        uirevision="progress",
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
