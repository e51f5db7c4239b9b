"""What merging each group of one layer costs, beside what could have been done instead."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
import pandas as pd

from qcqa.reduce.groups.gram import FloatArray, HeadGram, head_similarity
from qcqa.reduce.groups.grouping import Grouping, LayerGrouping, block_labels
from qcqa.reduce.groups.objective import WseObjective
from qcqa.reduce.groups.wse import grouping_wse, spectral_bound
from qcqa.reduce.terms import Kind

KIND_LABELS: dict[Kind, str] = {"shared": "Keys and values", "key": "Keys", "value": "Values"}

#: Relative difference below which two errors are one and the same.
_EQUAL = 1e-9


@dataclass(frozen=True, slots=True)
class GroupCost:
    """One group of heads that share a head.

    Parameters
    ----------
    number : int
        Of the group in its grouping, as charts and ``plan.json`` number them.
    heads : tuple of int
        Numbers of its heads in the source.
    saved_heads : int
        Heads that the cache no longer holds; K and V count each.
    wse : float
        Squared distance of the heads' weights from their mean.
    share : float
        ``wse`` over that of all groups of the layer; 0 where that is 0.
    similarity : float
        Mean cosine similarity of the pairs of its heads; NaN for a head that keeps its own.
    """

    number: int
    heads: tuple[int, ...]
    saved_heads: int
    wse: float
    share: float
    similarity: float


@dataclass(frozen=True, slots=True)
class LayerCost:
    """One layer's grouping of keys, of values, or of both alike.

    Parameters
    ----------
    kind : Kind
        Whose heads they are.
    grouping : Grouping
        The groups.
    groups : tuple of GroupCost
        One per group, in order of their numbers.
    wse, relative_wse : float
        Of the whole grouping; over the squared norm of all heads of this kind in the layer.
    neighbours_wse : float
        WSE of as many blocks of neighbouring heads, as GQA forms them; where the heads cannot be
        cut into blocks of one size, blocks that differ by one head at most.
    lower_bound : float
        No grouping into as many groups has a smaller WSE (k-means spectral relaxation).
    """

    kind: Kind
    grouping: Grouping
    groups: tuple[GroupCost, ...]
    wse: float
    relative_wse: float
    neighbours_wse: float
    lower_bound: float


def layer_costs(
    gram: HeadGram, layer: LayerGrouping, kind: Kind = "shared"
) -> tuple[LayerCost, ...]:
    """Return what the groups of a layer cost.

    Parameters
    ----------
    gram : HeadGram
        Inner products between the layer's heads.
    layer : LayerGrouping
        The groups.
    kind : Kind
        Whether only the keys or only the values are asked for.

    Returns
    -------
    tuple of LayerCost
        One; where both kinds are asked for and grouped apart, that of the keys and that of the
        values.
    """
    groupings: dict[Kind, Grouping] = {"key": layer.key, "value": layer.value}
    if kind != "shared":
        groupings = {kind: groupings[kind]}
    elif layer.key == layer.value:
        groupings = {"shared": layer.key}
    return tuple(layer_cost(gram, grouping, one) for one, grouping in groupings.items())


def layer_cost(gram: HeadGram, grouping: Grouping, kind: Kind) -> LayerCost:
    """Return what the groups of a layer's keys, values or both cost; see :class:`LayerCost`."""
    weights = gram.of(kind)
    num_groups = grouping.num_groups
    wse = grouping_wse(weights, grouping)
    neighbours = Grouping.from_labels(block_labels(grouping.num_heads)[num_groups - 1])
    return LayerCost(
        kind=kind,
        grouping=grouping,
        groups=_groups(weights, grouping, wse, 2 if kind == "shared" else 1),
        wse=wse,
        relative_wse=_ratio(wse, float(np.trace(weights))),
        neighbours_wse=grouping_wse(weights, neighbours),
        lower_bound=float(spectral_bound(weights)[num_groups - 1]),
    )


def layer_cost_table(costs: Sequence[LayerCost]) -> pd.DataFrame:
    """Return a row per grouping of a layer: what it loses, and what could be had instead.

    ``neighbours instead, %`` is by how much the WSE of neighbours in as many groups differs,
    ``lower bound, %`` by how much that of the lower bound does; NaN where nothing is lost.

    Parameters
    ----------
    costs : sequence of LayerCost
        Of one layer.
    """
    rows = [
        {
            "of": KIND_LABELS[cost.kind].lower(),
            "groups": cost.grouping.num_groups,
            "WSE": cost.wse,
            "relative WSE": cost.relative_wse,
            "neighbours instead, %": _change(cost.neighbours_wse, cost.wse),
            "lower bound, %": _change(cost.lower_bound, cost.wse),
        }
        for cost in costs
    ]
    return pd.DataFrame(rows)


def group_cost_table(costs: Sequence[LayerCost]) -> pd.DataFrame:
    """Return a row per group of two or more heads, the dearest first.

    ``saved`` are its heads that the cache does not hold, ``per saved head`` is WSE over them, and
    ``similarity`` the mean over the pairs of its heads.

    Heads that keep their own cost nothing and save nothing: they have no row.

    Parameters
    ----------
    costs : sequence of LayerCost
        Of one layer.
    """
    rows = [
        {
            "of": KIND_LABELS[cost.kind].lower(),
            "group": group.number,
            "heads": ", ".join(map(str, group.heads)),
            "saved": group.saved_heads,
            "WSE": group.wse,
            "% of layer": 100 * group.share,
            "per saved head": group.wse / group.saved_heads,
            "similarity": group.similarity,
        }
        for cost in costs
        for group in sorted(cost.groups, key=lambda one: -one.wse)
        if len(group.heads) > 1
    ]
    return pd.DataFrame(rows, columns=list(_COLUMNS)).astype(_COLUMNS)


_COLUMNS = {
    "of": "str",
    "group": "int64",
    "heads": "str",
    "saved": "int64",
    "WSE": "float64",
    "% of layer": "float64",
    "per saved head": "float64",
    "similarity": "float64",
}


def _groups(
    gram: FloatArray, grouping: Grouping, layer_wse: float, heads_per_group: int
) -> tuple[GroupCost, ...]:
    similarity = head_similarity(gram)
    errors = WseObjective(gram).error_of_groups(grouping.groups).tolist()
    costs = []
    for number, (heads, wse) in enumerate(zip(grouping.groups, errors, strict=True)):
        size, members = len(heads), np.array(heads)
        pairs = similarity[np.ix_(members, members)].sum() - size
        costs.append(
            GroupCost(
                number=number,
                heads=heads,
                saved_heads=heads_per_group * (size - 1),
                wse=wse,
                share=_ratio(wse, layer_wse),
                similarity=pairs / (size * (size - 1)) if size > 1 else nan,
            )
        )
    return tuple(costs)


def _change(other: float, wse: float) -> float:
    """Return in percent by how much another WSE differs; rounding is no difference."""
    if wse <= 0:
        return nan
    return 0.0 if abs(other - wse) <= _EQUAL * wse else 100 * (other / wse - 1)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0
