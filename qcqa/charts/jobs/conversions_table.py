"""Conversions of a search in one table: whose plan, where to, and what became of each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from qcqa.charts.common.palette import method_style
from qcqa.errors import QCQAError
from qcqa.jobs.config import ConversionConfig
from qcqa.jobs.run import Run
from qcqa.plan.budget import bits_of_point, ratio_of_bits
from qcqa.search.result import SearchResult


def conversions_table(conversions: Sequence[Run], result: SearchResult) -> pd.DataFrame:
    """Return a row for every conversion, in their order.

    Parameters
    ----------
    conversions : sequence of Run
        As :func:`qcqa.jobs.conversions.conversions_of` lists them; other jobs are left out.
    result : SearchResult
        Of their search.

    Returns
    -------
    DataFrame
        Indexed by the conversion's id: ``folder``, ``method``, ``KV ratio`` of the plan (missing
        where the search has no such plan any more), ``state`` (``gone`` where a finished one's
        folder is not there, ``damaged`` where it cannot be read), and ``created``.
    """
    rows = [
        _row(conversion, conversion.config, result)
        for conversion in conversions
        if isinstance(conversion.config, ConversionConfig)
    ]
    return pd.DataFrame(rows, columns=["id", *_COLUMNS]).set_index("id")


_COLUMNS = ("folder", "method", "KV ratio", "state", "created")


def _row(conversion: Run, config: ConversionConfig, result: SearchResult) -> dict[str, Any]:
    method, max_kv_bits = config.point
    return {
        "id": conversion.id,
        "folder": config.folder,
        "method": method_style(method).label,
        "KV ratio": _ratio(result, method, max_kv_bits),
        "state": _state(conversion, Path(config.folder)),
        "created": config.created,
    }


def _ratio(result: SearchResult, method: str, max_kv_bits: int) -> float | None:
    front = result.fronts.get(method)
    place = front.within(bits_of_point(result.spec, max_kv_bits)) if front is not None else None
    if front is None or place is None:
        return None
    return ratio_of_bits(result.spec, int(front.cost[place]))


def _state(conversion: Run, folder: Path) -> str:
    try:
        state = conversion.status().state
    except QCQAError:
        return "damaged"
    return "gone" if state == "finished" and not folder.is_dir() else state
