"""All plans that a search found, as a table."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qcqa.charts.common.kv_axis import KvAxis
from qcqa.charts.common.palette import in_order, method_style
from qcqa.plan.budget import CacheLoad
from qcqa.search.result import SearchResult


def front_table(result: SearchResult, load: CacheLoad) -> pd.DataFrame:
    """Return a row per plan of every method's front, from the largest cache down.

    Parameters
    ----------
    result : SearchResult
        Fronts of the methods, and the lower bound, at the load.
    load : CacheLoad
        What the cache has to hold, for its size in GiB.

    Returns
    -------
    DataFrame
        ``error`` is what the method minimised, in the unit of its ``fitness``; the lower bound on
        WSE is NaN where it does not hold. ``key heads`` and ``value heads`` are the numbers of
        shared heads, layer by layer.
    """
    kib, gib = (KvAxis(result.spec, load, unit) for unit in ("kib", "gib"))
    tables = []
    for method in in_order(result.fronts):
        front = result.fronts[method]
        bound = [result.bound.at(int(cost)) for cost in front.cost]
        tables.append(
            pd.DataFrame(
                {
                    "name": method,
                    "method": method_style(method, result.spec).label,
                    "bits per token": front.cost,
                    "KV ratio": front.size / result.spec.kv_bits,
                    "KiB per token": kib.of_array(front.size),
                    "cache, GiB": gib.of_array(front.size),
                    "fitness": front.fitness,
                    "error": front.error,
                    "WSE": result.wse(method),
                    "relative WSE": result.wse(method) / (result.grams.trace or 1.0),
                    "lower bound of WSE": bound if result.bound.holds_for(front) else None,
                    "key heads": _as_text(front.stored_heads[0]),
                    "value heads": _as_text(front.stored_heads[1]),
                }
            ).iloc[::-1]
        )
    return pd.concat(tables, ignore_index=True)


def _as_text(heads: NDArray[np.int64]) -> list[str]:
    """Return each row, (N, L), as numbers with a blank between them."""
    return [" ".join(map(str, row)) for row in heads.tolist()]
