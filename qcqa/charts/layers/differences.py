"""In which cells, layer by head, two plans of one model share differently."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from qcqa.charts.common.head_grid import axes_of, cell_gaps, head_grid, row_end_words, unblended
from qcqa.charts.common.palette import ALONE_COLOUR, method_style
from qcqa.charts.layers.groups import heads_text, is_apart
from qcqa.errors import PlanError
from qcqa.plan.plan import Plan
from qcqa.reduce.picture import SitePicture

#: Of more partners only these are named where the pointer rests.
_MOST_PARTNERS_NAMED = 4

#: Stands out from a light and from a dark page, and from a cell that is barely there.
_DIFFERS_COLOUR = "#D55E00"


@dataclass(frozen=True, slots=True, eq=False)
class PlanDifference:
    """Where two plans of one model share differently, as :func:`differing_heads` tells it.

    Parameters
    ----------
    key, value : array of bool, shape (L, H)
        Whether a head's K, or V, is shared with other heads in one plan than in the other.
    is_apart : bool
        Whether one of the plans groups keys and values differently; otherwise ``key`` and
        ``value`` are equal.
    """

    key: NDArray[np.bool_]
    value: NDArray[np.bool_]
    is_apart: bool

    @property
    def sentence(self) -> str:
        """How many heads differ, for people."""
        if not (self.key.any() or self.value.any()):
            return "Both plans group the heads alike."
        keys = f"{int(self.key.sum()):,} of {self.key.size:,} heads"
        if not self.is_apart:
            return f"{keys} share with other heads in one plan than in the other."
        return (
            f"The keys of {keys}, and the values of {int(self.value.sum()):,}, share with other "
            "heads in one plan than in the other."
        )


def plan_difference(first: Plan, second: Plan) -> PlanDifference:
    """Return the cells in which two plans differ.

    Raises
    ------
    PlanError
        If the plans are for models of another shape.
    """
    shapes = [(plan.model.num_layers, plan.model.num_kv_heads) for plan in (first, second)]
    if shapes[0] != shapes[1]:
        here, there = (f"{layers} layers of {heads} KV heads" for layers, heads in shapes)
        raise PlanError(f"plans for {here} and for {there}", expected="two plans of one model")
    pairs = list(zip(first.pictures, second.pictures, strict=True))
    return PlanDifference(
        key=np.array([differing_heads(a.key, b.key) for a, b in pairs]),
        value=np.array([differing_heads(a.value, b.value) for a, b in pairs]),
        is_apart=is_apart(first, second),
    )


def differing_heads(first: SitePicture, second: SitePicture) -> NDArray[np.bool_]:
    """Return which heads share with other heads in one picture than in the other, shape (H,).

    A head's partners are the other heads that read what it reads; a head that keeps its own has
    none. A head differs where its two sets of partners do, whatever number its group has. So a head
    that joins or leaves a group makes every head of that group differ.
    """
    a, b = np.array(first.reads), np.array(second.reads)
    same_in_first, same_in_second = a[:, None] == a, b[:, None] == b  # (H, H)
    differs: NDArray[np.bool_] = (same_in_first != same_in_second).any(axis=1)
    return differs


def difference_table(difference: PlanDifference) -> pd.DataFrame:
    """Return a row per layer: how many heads' keys and values differ, and which."""
    rows = []
    for layer, (key, value) in enumerate(zip(difference.key, difference.value, strict=True)):
        row: dict[str, object] = {"layer": layer}
        kinds = {"keys": key, "values": value} if difference.is_apart else {"heads": key}
        for name, differs in kinds.items():
            row[f"{name} that differ"] = int(differs.sum())
            row[f"which {name}"] = ", ".join(map(str, np.flatnonzero(differs)))
        rows.append(row)
    return pd.DataFrame(rows)


def difference_figure(first: Plan, second: Plan) -> go.Figure:
    """Return the cells in which two plans differ, as a chart of layers by heads.

    Raises
    ------
    PlanError
        If the plans are for models of another shape.
    """
    difference = plan_difference(first, second)
    num_layers, num_heads = difference.key.shape
    kinds = ("key", "value") if difference.is_apart else ("key",)
    titles = ["Keys", "Values"] if difference.is_apart else ["Keys and values"]
    figure = head_grid(titles, num_layers, num_heads, compact=True, with_words=True)
    names = [method_style(plan.method, plan.model).label for plan in (first, second)]
    gaps = cell_gaps(num_layers, num_heads, num_grids=len(kinds), compact=True)
    for place, kind in enumerate(kinds):
        differs: NDArray[np.bool_] = getattr(difference, kind)
        here, there = ([getattr(layer, kind) for layer in p.pictures] for p in (first, second))
        figure.add_trace(_cells(differs, here, there, names, gaps | axes_of(place)))
        words = [f"{count}/{num_heads}" for count in differs.sum(axis=1).tolist()]
        hover = "layer %{y}: %{text} heads differ"
        figure.add_trace(row_end_words(words, num_heads, hover, place=place))
    return figure


def _cells(
    differs: NDArray[np.bool_],
    here: Sequence[SitePicture],
    there: Sequence[SitePicture],
    names: Sequence[str],
    looks: Mapping[str, Any],
) -> go.Heatmap:
    return go.Heatmap(
        z=differs.astype(np.int8),
        zmin=-0.5,
        zmax=1.5,
        colorscale=unblended((ALONE_COLOUR, _DIFFERS_COLOUR)),
        showscale=False,
        # Arrays are not looked through cell by cell, which lists are.
        customdata=np.stack(
            [[_partners(picture) for picture in side] for side in (here, there)], axis=-1
        ),
        hovertemplate="layer %{y}, head %{x}"
        + "".join(
            f"<br>{name}: shares with %{{customdata[{place}]}}" for place, name in enumerate(names)
        )
        + "<extra></extra>",
        **looks,
    )


def _partners(picture: SitePicture) -> list[str]:
    """Return with whom each head shares."""
    texts = []
    groups = picture.readers
    for head, number in enumerate(picture.reads):
        others = [partner for partner in groups[number] if partner != head]
        texts.append(heads_text(others, at_most=_MOST_PARTNERS_NAMED) if others else "none")
    return texts
