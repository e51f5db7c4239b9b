"""How alike the heads of one layer are: their similarity matrix, ordered by group."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import plotly.graph_objects as go

from qcqa.charts.common.head_grid import tick_step
from qcqa.charts.common.palette import NEUTRAL_COLOUR
from qcqa.charts.common.rounded import fixed
from qcqa.reduce.groups.gram import FloatArray, head_similarity

#: Blue against orange is told apart by all eyes; what is not alike at all takes the page's colour.
_SCALE = ((0.0, "#1B75BC"), (0.5, "rgba(127, 133, 141, 0.08)"), (1.0, "#D55E00"))

#: Wider models have no room for a number in each cell.
_MOST_HEADS_WITH_NUMBERS = 16


def similarity_figure(
    gram: FloatArray, groups: Sequence[Sequence[int]], *, limit: float = 1.0
) -> go.Figure:
    """Return the cosine similarity of a layer's heads as a matrix, heads of a group together.

    Parameters
    ----------
    gram : array, shape (H, H)
        Inner products between the heads.
    groups : sequence of sequences of int
        Heads that are framed together, in their order; heads on their own come last.
    limit : float
        The similarity, to either side of 0, that has the full colour.
    """
    groups = sorted(groups, key=lambda group: len(group) == 1)
    order = [head for group in groups for head in group]
    num_heads = len(order)
    similarity = head_similarity(gram)[np.ix_(order, order)]  # (H, H)
    figure = go.Figure(
        go.Heatmap(
            z=similarity,
            zmin=-limit,
            zmax=limit,
            colorscale=_SCALE,
            hovertemplate="heads %{customdata}: %{z:.3f}<extra></extra>",
            # Arrays are not looked through cell by cell, which lists are.
            customdata=np.array([[f"{row} and {column}" for column in order] for row in order]),
            colorbar={"thickness": 12, "outlinewidth": 0, "title": {"text": "cosine"}},
        )
    )
    if num_heads <= _MOST_HEADS_WITH_NUMBERS:
        figure.add_trace(_numbers(similarity))
    ends = np.cumsum([0, *(len(group) for group in groups if len(group) > 1)]).tolist()
    figure.update_layout(
        shapes=[
            {
                "type": "rect",
                "x0": first - 0.5,
                "x1": end - 0.5,
                "y0": first - 0.5,
                "y1": end - 0.5,
                "line": {"width": 1.5, "color": NEUTRAL_COLOUR},
            }
            for first, end in pairwise(ends)
        ],
        height=int(np.clip(110 + 30 * num_heads, 220, 480)),
        # What the labels need: Plotly makes room for more by drawing everything twice.
        margin={"l": 70, "r": 73, "t": 12, "b": 70},
    )
    # Numbers lie side by side below the matrix, where they need more room than beside it.
    figure.update_xaxes(**_axis(order, at_most=16), tickangle=0)
    figure.update_yaxes(**_axis(order, at_most=32), autorange="reversed")
    return figure


def _axis(order: list[int], *, at_most: int) -> dict[str, Any]:
    places = list(range(0, len(order), tick_step(len(order), at_most=at_most)))
    return {
        "title_text": "head of the source",
        "tickmode": "array",
        "tickvals": places,
        "ticktext": [str(order[place]) for place in places],
        "showgrid": False,
        "zeroline": False,
    }


def _numbers(similarity: FloatArray) -> go.Scatter:
    """Return the numbers of the cells, in the colour of the page's text.

    A heatmap's own would be dark on pale cells, which are dark themselves on a dark page. That a
    head is like itself need not be said.
    """
    rows, columns = np.nonzero(~np.eye(len(similarity), dtype=bool))
    return go.Scatter(
        x=columns,
        y=rows,
        # Adding 0 makes a rounded -0 a 0.
        text=[fixed(value, 2) for value in similarity[rows, columns].tolist()],
        mode="text",
        textfont_size=10,
        hoverinfo="skip",
        showlegend=False,
    )


def similarity_limit(*grams: FloatArray) -> float:
    """Return the largest similarity, to either side of 0, of two different heads; 1 if none."""
    largest = 0.0
    for gram in grams:
        similarity = np.abs(head_similarity(gram))
        np.fill_diagonal(similarity, 0.0)
        largest = max(largest, float(similarity.max()))
    return largest or 1.0
