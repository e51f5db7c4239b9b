"""Which heads share in every layer of a plan, as a chart of layers by heads."""

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from qcqa.grouping import Grouping
from qcqa.plan import GroupingPlan
from qcqa.report.palette import ALONE_COLOUR, GROUP_COLOURS

#: Wider models have no room for a number in each cell.
_MOST_HEADS_WITH_NUMBERS = 40


def grouping_figure(plan: GroupingPlan) -> go.Figure:
    """Return the plan as a chart: a row per layer, a column per head of the source.

    Heads of one colour and number share one head; a grey cell keeps its own. A group's colour
    goes with its lowest head, so that it stays when another budget is looked at.

    Parameters
    ----------
    plan : GroupingPlan
        Up to some 80 layers of 64 heads stay readable.
    """
    panels = _panels(plan)
    num_layers, num_heads = plan.model.num_layers, plan.model.num_kv_heads
    figure = make_subplots(
        rows=1,
        cols=len(panels),
        shared_yaxes=True,
        horizontal_spacing=0.03,
        subplot_titles=[title for title, _ in panels] if len(panels) > 1 else None,
    )
    # Two panels beside each other have less room for words.
    between, width = (" of ", 1.14) if len(panels) == 1 else ("/", 1.2)
    for column, (_, groupings) in enumerate(panels, start=1):
        figure.add_trace(_cells(groupings), row=1, col=column)
        figure.add_trace(_kept_heads(groupings, between), row=1, col=column)
        figure.update_xaxes(
            title_text="head of the source",
            tickmode="array",
            tickvals=list(range(0, num_heads, _tick_step(num_heads))),
            range=[-0.5, num_heads * width],
            showgrid=False,
            zeroline=False,
            row=1,
            col=column,
        )
    figure.update_yaxes(
        range=[num_layers - 0.5, -0.5],
        tick0=0,
        dtick=_tick_step(num_layers),
        showgrid=False,
        zeroline=False,
    )
    figure.update_yaxes(title_text="layer", row=1, col=1)
    figure.update_layout(
        height=_height(num_layers),
        margin={"l": 8, "r": 8, "t": 28 if len(panels) > 1 else 8, "b": 8},
        showlegend=False,
    )
    return figure


def group_colours(grouping: Grouping) -> list[int]:
    """Return the colour of each head as a place in ``GROUP_COLOURS``, -1 where it is alone.

    A group takes the colour of its lowest head; if another group of the layer has that already,
    the next free one.
    """
    colour_of_head = [-1] * grouping.num_heads
    taken: set[int] = set()
    for group in grouping.groups:
        if len(group) == 1:
            continue
        if len(taken) == len(GROUP_COLOURS):
            taken.clear()
        colour = group[0] % len(GROUP_COLOURS)
        while colour in taken:
            colour = (colour + 1) % len(GROUP_COLOURS)
        taken.add(colour)
        for head in group:
            colour_of_head[head] = colour
    return colour_of_head


def _panels(plan: GroupingPlan) -> list[tuple[str, list[Grouping]]]:
    keys = [layer.key for layer in plan.layers]
    values = [layer.value for layer in plan.layers]
    if keys == values:
        return [("Keys and values", keys)]
    return [("Keys", keys), ("Values", values)]


def _cells(groupings: list[Grouping]) -> go.Heatmap:
    colours = np.array([group_colours(grouping) for grouping in groupings])  # (L, H)
    numbers = np.array([grouping.labels for grouping in groupings])  # (L, H)
    num_heads = numbers.shape[1]
    gap = 2 if num_heads <= 16 else 1
    return go.Heatmap(
        z=colours,
        zmin=-1.5,
        zmax=len(GROUP_COLOURS) - 0.5,
        colorscale=_steps((ALONE_COLOUR, *GROUP_COLOURS)),
        showscale=False,
        xgap=gap,
        ygap=gap,
        text=_cell_text(numbers, colours),
        texttemplate="%{text}" if num_heads <= _MOST_HEADS_WITH_NUMBERS else None,
        customdata=[_members(grouping) for grouping in groupings],
        hovertemplate="layer %{y}, head %{x}<br>%{customdata}<extra></extra>",
    )


def _kept_heads(groupings: list[Grouping], between: str) -> go.Scatter:
    """Return how many heads remain of each layer, as words at the end of its row."""
    num_heads = groupings[0].num_heads
    layers = range(0, len(groupings), _tick_step(len(groupings)))
    return go.Scatter(
        x=[num_heads - 0.4] * len(layers),
        y=list(layers),
        text=[f"{groupings[layer].num_groups}{between}{num_heads}" for layer in layers],
        mode="text",
        textposition="middle right",
        hovertemplate="layer %{y} keeps %{text} heads<extra></extra>",
    )


def _cell_text(numbers: NDArray[np.int64], colours: NDArray[np.int64]) -> list[list[str]]:
    return [
        [str(number) if colour >= 0 else "" for number, colour in zip(row, hues, strict=True)]
        for row, hues in zip(numbers, colours, strict=True)
    ]


def _members(grouping: Grouping) -> list[str]:
    texts = []
    for label in grouping.labels:
        group = grouping.groups[label]
        if len(group) == 1:
            texts.append("keeps its own head")
        else:
            texts.append(f"group {label}: heads {', '.join(map(str, group))} share one")
    return texts


def _steps(colours: tuple[str, ...]) -> list[list[float | str]]:
    """Return a colour scale of equal, unblended steps."""
    count = len(colours)
    return [
        [edge / count, colour]
        for place, colour in enumerate(colours)
        for edge in (place, place + 1)
    ]


def _tick_step(count: int) -> int:
    return next((step for step in (1, 2, 4, 8) if count / step <= 16), 16)


def _height(num_layers: int) -> int:
    """Return a height in pixels: generous rows for few layers, thin ones for many."""
    row = float(np.clip(520 / num_layers, 11, 40))
    return int(max(150, 80 + row * num_layers))
