"""All figures of all methods at the budget; a row selects its plan."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st
from ui.cards import Points
from ui.state import controlled
from views.explore.selection import select_plan

from qcqa.charts.common.rounded import zeros_unsigned
from qcqa.charts.fronts.comparison import BudgetPoint
from qcqa.search.result import SearchResult

_FORMATS = {
    "KV ratio": "%.4f",
    "cache, GiB": "%.4g",
    "KiB per token": "%.4g",
    "WSE": "%.5g",
    "relative WSE": "%.4f",
    "WSE vs GQA, %": "%+.2f",
    "WSE above bound, %": "%.2f",
}


def figures_table(
    table: pd.DataFrame, result: SearchResult, points: Points, selected: BudgetPoint | None
) -> None:
    """Draw the table, with the selected plan's row marked.

    Parameters
    ----------
    table : DataFrame
        A row per method, indexed by its name.
    result : SearchResult
        Whose plans they are.
    points : mapping from str to BudgetPoint or None
        The methods' plans at the budget.
    selected : BudgetPoint or None
        The selected plan; None where no plan fits.
    """
    over = "WSE vs GQA, %"
    st.dataframe(
        table.assign(**{over: zeros_unsigned(table[over], 2)}),
        hide_index=True,
        column_config={
            name: st.column_config.NumberColumn(format=text) for name, text in _FORMATS.items()
        },
        placeholder="\N{EM DASH}",
        alt="Cost and error of the best plan of each method within the budget",
        **(_selection(list(table.index), result, points, selected) if selected else {}),
    )


def _selection(
    methods: list[str], result: SearchResult, points: Points, selected: BudgetPoint
) -> dict[str, Any]:
    """Return ``key``, ``on_select`` and ``selection_mode`` of a table whose rows are plans."""

    def chosen(state: Mapping[str, Mapping[str, list[int]]]) -> None:
        for row in state["selection"]["rows"]:
            point = points[methods[row]]
            if point is not None:
                select_plan(result, point.method, point.kv_bits)

    shown = {"selection": {"rows": [methods.index(selected.method)], "columns": [], "cells": []}}
    widget = controlled("figures_table", shown, chosen)
    return {
        "key": widget["key"],
        "on_select": widget["on_change"],
        "selection_mode": "single-row-required",
    }
