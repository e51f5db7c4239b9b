"""What all charts over the size of the KV cache have in common."""

from typing import Any

import plotly.graph_objects as go

from qcqa.charts.common.kv_axis import KvAxis, size_text
from qcqa.charts.common.palette import NEUTRAL_COLOUR

#: For ``unselected`` of a trace: a click chooses a plan, and does not make the others pale.
NOT_FADED = {"marker": {"opacity": 1}}


def kv_layout(axis: KvAxis, height: int) -> dict[str, Any]:
    """Return the layout: the size of the cache from left to right, the legend above the data."""
    return {
        "height": height,
        # What labels and legend need: Plotly makes room for more by drawing everything twice.
        "margin": {"l": 76, "r": 8, "t": 72, "b": 63},
        "hovermode": "closest",
        # Points that can be clicked would make it "pan".
        "dragmode": "zoom",
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1.02,
            "yanchor": "bottom",
            "title": {"text": ""},
        },
        "xaxis": {
            "title": {"text": axis.title},
            "range": [0, 1.04 * axis.full],
            "zeroline": False,
            "automargin": True,
        },
    }


def draw_budget(figure: go.Figure, axis: KvAxis, budget: float) -> None:
    """Draw the budget, a KV ratio, as a line with its size."""
    at = budget * axis.full
    is_right = at > 0.6 * axis.full
    figure.add_vline(
        x=at,
        line={"width": 1.5, "dash": "dot", "color": NEUTRAL_COLOUR},
        annotation={
            "text": f"budget {size_text(at, axis.unit)}",
            "xanchor": "right" if is_right else "left",
            "yanchor": "top",
            "y": 1,
            "showarrow": False,
        },
    )


def selection_ring(x: float, y: float) -> go.Scatter:
    """Return a ring around the selected plan; the pointer goes through to the plan itself."""
    return go.Scatter(
        x=[x],
        y=[y],
        mode="markers",
        name="selected",
        marker={
            "symbol": "circle-open",
            "size": 24,
            "color": NEUTRAL_COLOUR,
            "opacity": 1,
            "line": {"width": 2.5},
        },
        hoverinfo="skip",
        showlegend=False,
    )
