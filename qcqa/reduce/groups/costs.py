"""What merging each group of one layer costs, beside what could have been done instead."""

from dataclasses import dataclass
from math import nan

import numpy as np

from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.groups.gram import FloatArray, HeadGram, head_similarity
from qcqa.reduce.groups.grouping import Grouping, LayerGrouping, block_labels
from qcqa.reduce.groups.objective import WseObjective
from qcqa.reduce.groups.wse import grouping_wse, spectral_bound
from qcqa.reduce.terms import Kind


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
    groups: tuple[GroupCost, ...]
    wse: float
    relative_wse: float
    neighbours_wse: float
    lower_bound: float


def layer_costs(
    gram: HeadGram, choice: LayerChoice, kind: Kind = "shared"
) -> tuple[LayerCost, ...]:
    """Return what the groups of a layer cost.

    Parameters
    ----------
    gram : HeadGram
        Inner products between the layer's heads.
    choice : LayerChoice
        What is chosen in the layer.
    kind : Kind
        Whether only the keys or only the values are asked for.

    Returns
    -------
    tuple of LayerCost
        One; where both kinds are asked for and grouped apart, that of the keys and that of the
        values.
    """
    layer = LayerGrouping.of(choice, gram.num_heads)
    groupings: dict[Kind, Grouping] = {"key": layer.key, "value": layer.value}
    if kind != "shared":
        groupings = {kind: groupings[kind]}
    elif layer.key == layer.value:
        groupings = {"shared": layer.key}
    return tuple(layer_cost(gram, grouping, slot_kind) for slot_kind, grouping in groupings.items())


def layer_cost(gram: HeadGram, grouping: Grouping, kind: Kind) -> LayerCost:
    """Return what the groups of a layer's keys, values or both cost; see :class:`LayerCost`."""
    weights = gram.of(kind)
    num_groups = grouping.num_groups
    wse = grouping_wse(weights, grouping)
    neighbours = Grouping.from_labels(block_labels(grouping.num_heads)[num_groups - 1])
    return LayerCost(
        kind=kind,
        groups=_groups(weights, grouping, wse, 2 if kind == "shared" else 1),
        wse=wse,
        relative_wse=_ratio(wse, float(np.trace(weights))),
        neighbours_wse=grouping_wse(weights, neighbours),
        lower_bound=float(spectral_bound(weights)[num_groups - 1]),
    )


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


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0
