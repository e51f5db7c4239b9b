"""Whose plan is looked at: one choice for all pages."""

from collections.abc import Iterable

import streamlit as st

from qcqa.charts.common.palette import method_style
from qcqa.jobs.plans import plan_of_run
from qcqa.jobs.run import Run
from qcqa.measure.evaluation import Evaluation
from qcqa.plan.plan import Plan
from qcqa.search.result import SearchResult
from ui.cards import Points, selected_point
from ui.state import choices, widget


def plan_choice(
    points: Points,
    result: SearchResult,
    max_kv_bits: int,
    rows: Iterable[Evaluation],
    *,
    heading: str | None = None,
) -> str | None:
    """Draw the switch between methods whose plans fit the budget.

    Parameters
    ----------
    points : mapping
        The best plan of each method within the budget.
    result : SearchResult
        Fronts of the methods.
    max_kv_bits : int
        The budget: bits of the KV cache per token.
    rows : iterable of Evaluation
        What was measured of the plans.
    heading : str, optional
        Stands above the switch, in place of its label.

    Returns
    -------
    str or None
        The chosen method; the best by default, and where the chosen one has no plan that fits.
        None, with nothing drawn, where no plan of any method fits.
    """
    selected = selected_point(points, result, max_kv_bits, rows)
    if selected is None:
        return None
    if heading is not None:
        st.subheader(heading, anchor=False)
    # Each with a border of its own: joined ones lack theirs where they wrap.
    st.pills(
        "Plan of",
        [name for name, point in points.items() if point is not None],
        format_func=lambda name: method_style(name, result.spec).label,
        required=True,
        label_visibility="visible" if heading is None else "collapsed",
        wrap=True,
        **widget("method", selected.method, key="plan_method"),
    )
    return selected.method


def chosen_plan(
    run: Run,
    result: SearchResult,
    points: Points,
    max_kv_bits: int,
    rows: Iterable[Evaluation],
) -> Plan:
    """Return the plan that is looked at, with all that is known of it; one must fit the budget.

    Where the reader chose no method its provenance says why it is this one's.
    """
    chosen = choices().method
    method = chosen if points.get(chosen or "") else None
    return plan_of_run(run, max_kv_bits, method=method, result=result, rows=rows)
