"""The frame of charts with a row per layer and a column per head of the source."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

#: Room for words at the end of a row, in columns of the grid.
_WORDS = 0.2


def head_grid(
    titles: Sequence[str],
    num_layers: int,
    num_heads: int,
    *,
    compact: bool = False,
    with_words: bool = False,
) -> go.Figure:
    """Return an empty figure of one or more grids of layers by heads that share their rows.

    Parameters
    ----------
    titles : sequence of str
        Of the grids, one for each.
    num_layers, num_heads : int
        Rows and columns of each grid.
    compact : bool
        Whether it stands beside others of its kind: lower rows, sparser axes.
    with_words : bool
        Whether each row ends in a few words.
    """
    step = tick_step(num_heads, at_most=8 if compact or len(titles) > 1 else 16)
    heads = {
        "title": {"text": "head" if compact else "head of the source"},
        "tickmode": "array",
        "tickvals": list(range(0, num_heads, step)),
        "range": [-0.5, num_heads * (1 + _WORDS) if with_words else num_heads - 0.5],
    }
    figure = layer_rows([heads] * len(titles), num_layers, compact=compact)
    figure.layout.annotations = [
        {
            "text": title,
            "x": 0.5,
            "y": 1,
            "xref": f"{axes['xaxis']} domain",
            "yref": f"{axes['yaxis']} domain",
            "yanchor": "bottom",
            "showarrow": False,
        }
        for title, axes in zip(titles, map(axes_of, range(len(titles))), strict=True)
    ]
    return figure


def layer_rows(
    columns: Sequence[Mapping[str, Any]],
    num_layers: int,
    *,
    compact: bool = False,
    gap: float = 0.03,
) -> go.Figure:
    """Return an empty figure of charts that have a row per layer.

    Such figures of as many layers have one height, and their rows are level where they stand
    beside each other.

    Parameters
    ----------
    columns : sequence of mapping from str to object
        Charts, side by side: what is particular to each horizontal axis. Traces are put into one
        with :func:`axes_of`.
    num_layers : int
        Rows of each.
    compact : bool
        Whether rows are lower.
    gap : float
        Room between charts, over the figure's width.
    """
    width = (1 - gap * (len(columns) - 1)) / len(columns)
    axes = {}
    for place, axis in enumerate(columns):
        x, y = axes_of(place).values()
        left = place * (width + gap)
        axes[f"xaxis{x[1:]}"] = {
            "anchor": y,
            "domain": [left, min(1.0, left + width)],
            # What the axes show below the rows must not decide how high these are.
            **{"showgrid": False, "zeroline": False, "tickangle": 0, "automargin": False},
            **axis,
        }
        axes[f"yaxis{y[1:]}"] = {
            "anchor": x,
            "range": [num_layers - 0.5, -0.5],
            "tick0": 0,
            "dtick": tick_step(num_layers),
            **{"ticks": "", "showgrid": False, "zeroline": False},
            **(
                {"matches": "y", "showticklabels": False} if place else {"title": {"text": "layer"}}
            ),
        }
    # At once: Plotly takes ten times as long over one change after the other.
    return go.Figure(
        layout={
            **axes,
            "height": _height(num_layers, compact=compact),
            # What the numbers need: Plotly makes room for more by drawing everything twice.
            "margin": {"l": 63, "r": 8, "t": 28, "b": 52},
            "showlegend": False,
        }
    )


def axes_of(place: int) -> dict[str, str]:
    """Return the axes of one of several charts side by side, for its traces.

    Parameters
    ----------
    place : int
        Of the chart, from 0.
    """
    number = str(place + 1) if place else ""
    return {"xaxis": f"x{number}", "yaxis": f"y{number}"}


def tick_step(count: int, *, at_most: int = 16) -> int:
    """Return every how many rows or columns get a number, so that these are not too many."""
    return next((step for step in (1, 2, 4, 8) if count / step <= at_most), 16)


def row_end_words(
    texts: Sequence[str], num_heads: int, hover: str, *, place: int = 0
) -> go.Scatter:
    """Return words at the end of the rows; where rows are many, of those with a number.

    Parameters
    ----------
    texts : sequence of str
        One per layer.
    num_heads : int
        Columns of the grid.
    hover : str
        What is said of a row; ``%{y}`` is its layer, ``%{text}`` its words.
    place : int
        Of the grid.
    """
    layers = list(range(0, len(texts), tick_step(len(texts))))
    return go.Scatter(
        x=[num_heads - 0.4] * len(layers),
        y=layers,
        text=[texts[layer] for layer in layers],
        mode="text",
        textposition="middle right",
        cliponaxis=False,
        hovertemplate=hover + "<extra></extra>",
        **axes_of(place),
    )


def cell_gaps(
    num_layers: int, num_heads: int, *, num_grids: int, compact: bool = False
) -> dict[str, int]:
    """Return a heatmap's ``xgap`` and ``ygap`` in pixels: small cells have none to spare."""
    crowding = 2 if compact else 1
    return {
        name: next((gap for gap, most in ((2, 24), (1, 80)) if crowding * count <= most), 0)
        for name, count in (("xgap", num_heads * num_grids), ("ygap", num_layers))
    }


def unblended(colours: Sequence[str]) -> list[list[float | str]]:
    """Return a colour scale of equal steps: value ``i`` of ``0 .. n - 1`` has colour ``i``."""
    count = len(colours)
    return [
        [edge / count, colour]
        for place, colour in enumerate(colours)
        for edge in (place, place + 1)
    ]


def _height(num_layers: int, *, compact: bool) -> int:
    """Return a height in pixels: generous rows for few layers, thin ones for many."""
    room, least, most = (320, 5, 26) if compact else (520, 11, 40)
    row = float(np.clip(room / num_layers, least, most))
    return int(max(150, 84 + row * num_layers))
