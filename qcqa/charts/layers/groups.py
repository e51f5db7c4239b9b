"""Which heads share in every layer of a plan, as a chart of layers by heads."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from qcqa.charts.common.head_grid import axes_of, cell_gaps, head_grid, row_end_words, unblended
from qcqa.charts.common.palette import ALONE_COLOUR, GROUP_COLOURS, GROUP_INK
from qcqa.plan.plan import Plan
from qcqa.reduce.picture import SitePicture

#: More cells side by side have no room for a number each; compact figures have less.
_MOST_COLUMNS_WITH_NUMBERS = {False: 40, True: 16}

#: Numbers in more cells than this make a browser slow.
_MOST_CELLS_WITH_NUMBERS = 1600

#: Of a larger group only the first heads are named where the pointer rests.
_MOST_HEADS_NAMED = 12


def grouping_figure(plan: Plan, *, compact: bool = False) -> go.Figure:
    """Return the plan as a chart: a row per layer, a column per head of the source.

    Heads of one colour and number share one head; a grey cell keeps its own. A group's colour
    goes with its lowest head, so that it stays when another budget is looked at.

    Parameters
    ----------
    plan : Plan
        Up to some 80 layers of 64 heads stay readable.
    compact : bool
        Whether it stands beside other plans: less height, and no member lists.
    """
    panels = _panels(plan)
    num_layers, num_heads = plan.model.num_layers, plan.model.num_kv_heads
    # Two compact grids have no room for words.
    has_words = not (compact and len(panels) > 1)
    figure = head_grid(
        [title for title, _ in panels],
        num_layers,
        num_heads,
        compact=compact,
        with_words=has_words,
    )
    num_cells = num_layers * num_heads * len(panels)
    most = _MOST_COLUMNS_WITH_NUMBERS[compact]
    has_numbers = num_heads * len(panels) <= most and num_cells <= _MOST_CELLS_WITH_NUMBERS
    # Two panels beside each other have less room for words.
    between = " of " if len(panels) == 1 and not compact else "/"
    then = " \N{MIDDLE DOT} " if len(panels) == 1 else "<br>"
    gaps = cell_gaps(num_layers, num_heads, num_grids=len(panels), compact=compact)
    for place, (_, pictures) in enumerate(panels):
        looks = gaps | axes_of(place)
        figure.add_trace(_cells(pictures, looks, has_numbers=has_numbers, is_brief=compact))
        if has_words:
            heads = [f"{picture.num_stored}{between}{num_heads}" for picture in pictures]
            kept = [
                then.join(filter(None, ("" if picture.is_mapped else count, picture.words)))
                for picture, count in zip(pictures, heads, strict=True)
            ]
            hover = "layer %{y} keeps %{text}" + ("" if plan.has_words else " heads")
            figure.add_trace(row_end_words(kept, num_heads, hover, place=place))
    return figure


def grouping_caption(plan: Plan) -> str:
    """Return how to read :func:`grouping_figure`."""
    shared = (
        "one head, for keys and values separately" if is_apart(plan) else "one K and one V head"
    )
    return (
        "A row per layer, a column per head of the source. Heads of one colour and number share "
        f"{shared}; a grey head keeps its own."
        + (" At the end of a row, how they are stored." if plan.has_words else "")
    )


def is_apart(*plans: Plan) -> bool:
    """Return whether any of these plans treats keys and values of a layer differently."""
    return any(layer.key != layer.value for plan in plans for layer in plan.layers)


def _panels(plan: Plan) -> list[tuple[str, list[SitePicture]]]:
    """Return title and layers of each grid that the plan needs: one, or keys and values."""
    keys = [layer.key for layer in plan.pictures]
    if not is_apart(plan):
        return [("Keys and values", keys)]
    return [("Keys", keys), ("Values", [layer.value for layer in plan.pictures])]


def group_colours(picture: SitePicture) -> list[int]:
    """Return the colour of each head as a place in ``GROUP_COLOURS``, -1 where it is alone.

    A group takes the colour of its lowest head; if another group of the layer has that already,
    the next free one.
    """
    colour_of_head = [-1] * picture.num_heads
    taken: set[int] = set()
    for group in picture.readers:
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


def _cells(
    pictures: Sequence[SitePicture], looks: Mapping[str, Any], *, has_numbers: bool, is_brief: bool
) -> go.Heatmap:
    colours = np.array([group_colours(picture) for picture in pictures], dtype=np.int8)  # (L, H)
    return go.Heatmap(
        z=colours,
        zmin=-1.5,
        zmax=len(GROUP_COLOURS) - 0.5,
        colorscale=unblended((ALONE_COLOUR, *GROUP_COLOURS)),
        showscale=False,
        text=[_numbers(picture) for picture in pictures] if has_numbers else None,
        texttemplate="%{text}" if has_numbers else None,
        textfont={"color": GROUP_INK},
        # An array is not looked through cell by cell, which lists are.
        customdata=np.array([_members(picture, is_brief=is_brief) for picture in pictures]),
        hovertemplate="layer %{y}, head %{x}<br>%{customdata}<extra></extra>",
        **looks,
    )


def _numbers(picture: SitePicture) -> list[str]:
    sizes = [len(group) for group in picture.readers]
    return [str(number) if sizes[number] > 1 else "" for number in picture.reads]


def _members(picture: SitePicture, *, is_brief: bool) -> list[str]:
    texts = []
    for number, group in enumerate(picture.readers):
        if picture.is_mapped:
            texts.append(f"in {picture.words}")
        elif len(group) == 1:
            texts.append("keeps its own head")
        elif is_brief:
            texts.append(f"group {number}, of {len(group)} heads")
        else:
            texts.append(f"group {number}: heads {heads_text(group)} share one")
    return [texts[number] for number in picture.reads]


def heads_text(heads: Sequence[int], *, at_most: int = _MOST_HEADS_NAMED) -> str:
    """Return head numbers as a list; of many, the first ones and how many more there are."""
    named = ", ".join(map(str, heads[:at_most]))
    return f"{named} and {len(heads) - at_most} more" if len(heads) > at_most else named
