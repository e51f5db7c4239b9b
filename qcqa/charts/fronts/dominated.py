"""Faint points behind a front: plans that its search weighed and dropped."""

import numpy as np
import plotly.graph_objects as go

from qcqa.charts.common.kv_axis import KvAxis
from qcqa.charts.common.kv_chart import NOT_FADED
from qcqa.charts.common.palette import method_style
from qcqa.charts.fronts.error_axis import ErrorAxis, ErrorScale
from qcqa.search.front import Dominated
from qcqa.search.result import SearchResult

#: Points of one method. A search keeps some hundred; of a file that holds more, as many are drawn.
_MOST_POINTS = 500


def dominated_trace(method: str, plans: Dominated, axis: KvAxis, y_of: ErrorAxis) -> go.Scatter:
    """Return the dropped plans of a method, to be drawn below all else.

    They cannot be chosen: the pointer goes through them. Those above all fronts are left out, so
    that the axis reaches no further than it would without them.

    Parameters
    ----------
    method : str
        Name of the method.
    plans : Dominated
        Of which the axis says something.
    axis : KvAxis
        Unit of the cache's size.
    y_of : ErrorAxis
        The chart's vertical axis.
    """
    values = y_of.of(plans.cost, plans.error)
    inside = np.flatnonzero(values <= y_of.highest)
    kept = inside[:: 1 + len(inside) // _MOST_POINTS]
    style = method_style(method)
    return go.Scatter(
        x=np.array(axis.of_array(plans.cost[kept])),
        y=y_of.heights(values[kept]),
        name=f"{style.label}, dominated",
        mode="markers",
        opacity=0.4,
        marker={"color": style.colour, "size": 4},
        unselected=NOT_FADED,
        hoverinfo="skip",
        # The entry of the front shows and hides both.
        legendgroup=method,
        showlegend=False,
    )


def shows_dominated(result: SearchResult, scale: ErrorScale) -> bool:
    """Return whether the chart of a result has any of these points."""
    y_of = ErrorAxis(result, scale)
    return any(y_of.dominated_of(front) is not None for front in result.fronts.values())
