"""All methods side by side at one KV-cache budget."""

from dataclasses import dataclass
from math import inf, nan

import pandas as pd

from qcqa.charts.common.kv_axis import KvAxis
from qcqa.charts.common.palette import in_order, method_style
from qcqa.charts.common.rounded import fixed
from qcqa.plan.budget import CacheLoad
from qcqa.reduce.terms import Fitness
from qcqa.search.result import SearchResult

#: Relative difference below which two errors are one and the same.
_EQUAL = 1e-9


@dataclass(frozen=True, slots=True)
class BudgetPoint:
    """The best plan of one method within a budget, as figures.

    Parameters
    ----------
    method : str
        Name of the method.
    index : int
        Place of the plan in the method's front.
    kv_bits : int
        What the plan costs: bits per token at :data:`~qcqa.reduce.stored.COST_CONTEXT` tokens.
    size : int
        What it takes at the load that is looked at; at most the budget. See
        :mod:`qcqa.search.sizes`.
    num_stored_heads : int
        K heads plus V heads that it keeps over all layers.
    kv_ratio : float
        KV-cache bytes over those of the source, at that load.
    wse, relative_wse : float
        Predicted error, and over the squared norm of all K and V weights.
    over_gqa : float
        WSE over that of GQA's plan of the same size, minus 1; NaN where GQA has none.
    over_bound : float
        WSE over the lower bound of this budget, minus 1; infinite where the bound is zero, NaN
        where it does not hold for the method.
    fitness : Fitness
        By what the method chose the plan.
    error : float
        The plan's error by that fitness: relative to losing all, or nats per token for ``loss``.
    """

    method: str
    index: int
    kv_bits: int
    size: int
    num_stored_heads: int
    kv_ratio: float
    wse: float
    relative_wse: float
    over_gqa: float
    over_bound: float
    fitness: Fitness = "wse"
    error: float = nan

    @property
    def reaches_bound(self) -> bool:
        """Whether no plan of any method can be better within this budget."""
        return self.over_bound <= 1e-6


def points_at_budget(result: SearchResult, max_kv_bits: int) -> dict[str, BudgetPoint | None]:
    """Return the best plan of every method within a budget, None where none fits.

    Parameters
    ----------
    result : SearchResult
        Fronts of the methods, and the lower bound.
    max_kv_bits : int
        Bits of the KV cache per token; see :mod:`qcqa.plan.budget`.
    """
    bound = result.bound.at(max_kv_bits)
    gqa = result.fronts.get("gqa")
    place = gqa.within(max_kv_bits) if gqa is not None else None
    of_gqa = None if gqa is None or place is None else int(gqa.cost[place])
    points: dict[str, BudgetPoint | None] = {}
    for method in in_order(result.fronts):
        front = result.fronts[method]
        index = front.within(max_kv_bits)
        if index is None:
            points[method] = None
            continue
        kv_bits, size = int(front.cost[index]), int(front.size[index])
        wse = float(result.wse(method)[index])
        points[method] = BudgetPoint(
            method=method,
            index=index,
            kv_bits=kv_bits,
            size=size,
            num_stored_heads=int(front.stored_heads[:, index].sum()),
            kv_ratio=size / result.spec.kv_bits,
            wse=wse,
            relative_wse=wse / result.grams.trace,
            over_gqa=_excess(wse, float(result.wse("gqa")[place])) if kv_bits == of_gqa else nan,
            over_bound=nan
            if bound is None or not result.bound.holds_for(front)
            else max(0.0, _excess(wse, bound)),
            fitness=front.fitness,
            error=float(front.error[index]) / (front.total or 1.0),
        )
    return points


def comparison_table(result: SearchResult, max_kv_bits: int, load: CacheLoad) -> pd.DataFrame:
    """Return a row per method: what its best plan within a budget costs, and its error.

    Parameters
    ----------
    result : SearchResult
        Fronts of the methods, and the lower bound, at the load.
    max_kv_bits : int
        Bits of the KV cache per token; see :mod:`qcqa.plan.budget`.
    load : CacheLoad
        What the cache has to hold, for its size in GiB.

    Returns
    -------
    DataFrame
        Indexed by the method's name; NaN where no plan fits.
    """
    rows = []
    for name, point in points_at_budget(result, max_kv_bits).items():
        row: dict[str, object] = {"name": name, "method": method_style(name, result.spec).label}
        if point is not None:
            gib = KvAxis(result.spec, load, "gib").of(point.size)
            kib = KvAxis(result.spec, load, "kib").of(point.size)
            row |= {
                "bits per token": point.kv_bits,
                "KV ratio": point.kv_ratio,
                "cache, GiB": gib,
                "KiB per token": kib,
                "WSE": point.wse,
                "relative WSE": point.relative_wse,
                "WSE vs GQA, %": 100 * point.over_gqa,
                "WSE above bound, %": 100 * point.over_bound,
            }
        rows.append(row)
    columns = ["name", "method", *_NUMBERS]
    return pd.DataFrame(rows, columns=columns).set_index("name").astype(_NUMBERS)


_NUMBERS = {
    "bits per token": "Int64",
    "KV ratio": "float64",
    "cache, GiB": "float64",
    "KiB per token": "float64",
    "WSE": "float64",
    "relative WSE": "float64",
    "WSE vs GQA, %": "float64",
    "WSE above bound, %": "float64",
}


def percent_text(share: float, *, sign: bool = False) -> str:
    """Return a share in percent with a sensible number of digits."""
    percent = 100 * share
    digits = 2 if abs(percent) < 1 else 1 if abs(percent) < 100 else 0
    return f"{fixed(percent, digits, sign=sign)} %"


def _excess(wse: float, reference: float) -> float:
    if abs(wse - reference) <= _EQUAL * max(wse, reference):
        return 0.0
    return wse / reference - 1 if reference > 0 else inf
