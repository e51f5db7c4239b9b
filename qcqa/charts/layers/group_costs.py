"""What merging each group of one layer costs, beside what could have been done instead."""

from collections.abc import Sequence
from math import nan

import pandas as pd

from qcqa.reduce.groups.costs import LayerCost
from qcqa.reduce.terms import Kind

KIND_LABELS: dict[Kind, str] = {"shared": "Keys and values", "key": "Keys", "value": "Values"}

#: Relative difference below which two errors are one and the same.
_EQUAL = 1e-9


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
            "groups": len(cost.groups),
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
        for group in sorted(cost.groups, key=lambda group_cost: -group_cost.wse)
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


def _change(other: float, wse: float) -> float:
    """Return in percent by how much another WSE differs; rounding is no difference."""
    if wse <= 0:
        return nan
    return 0.0 if abs(other - wse) <= _EQUAL * wse else 100 * (other / wse - 1)
