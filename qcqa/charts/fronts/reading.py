"""The Pareto chart with numbers on it, for an explanation beside it."""

from dataclasses import replace

import plotly.graph_objects as go

from qcqa.charts.common.kv_axis import KvAxis
from qcqa.charts.fronts.pareto import pareto_figure
from qcqa.plan.budget import CacheLoad, bits_within_ratio
from qcqa.search.front import Front
from qcqa.search.method_sets import BASELINES
from qcqa.search.result import SearchResult

#: KV ratios at which the numbers stand: the budget, on a front, and below all fronts.
_BUDGET, _FRONT, _BELOW = 0.5, 0.3, 0.4

#: Of the figure, in pixels.
_HEIGHT = 400


def annotated_front(result: SearchResult) -> go.Figure:
    """Return the fronts by WSE of a search, with the numbers 1 to 5 where they are explained.

    1 the source, 2 a front, 3 a baseline above it, 4 below the lower bound, 5 the budget.

    Parameters
    ----------
    result : SearchResult
        With the fronts of MHA and GQA, and one that was searched by WSE.
    """
    fronts = {
        name: front
        for name, front in result.fronts.items()
        if not front.apart and (front.fitness == "wse" or name in BASELINES)
    }
    shown = replace(result, fronts=fronts)
    spec, trace = result.spec, result.grams.trace
    axis = KvAxis(spec, CacheLoad(context_tokens=4096, batch_size=1, dtype=spec.dtype), "percent")
    figure = pareto_figure(shown, axis, budget=_BUDGET, height=_HEIGHT)

    def on(front: Front, ratio: float) -> tuple[float, float]:
        """Return where a front's plan for a KV ratio is drawn."""
        index = front.within(bits_within_ratio(spec, ratio)) or 0
        error = result.wse(front.method)[index] / trace
        return 100 * front.cost[index] / spec.kv_bits, error

    searched = max(fronts.values(), key=len)
    _number(figure, 1, 100, 0.0, x_shift=-14, y_shift=24)
    _number(figure, 2, *on(searched, _FRONT), y_shift=20)
    _number(figure, 3, *on(fronts["gqa"], _BUDGET), x_shift=18, y_shift=10)
    _number(figure, 4, 100 * _BELOW, 0.0, y_shift=14)
    _number(figure, 5, 100 * _BUDGET, 0.95 * result.wse(searched.method).max() / trace, x_shift=14)
    return figure


def _number(
    figure: go.Figure, number: int, x: float, y: float, *, x_shift: int = 0, y_shift: int = 0
) -> None:
    figure.add_annotation(
        x=x,
        y=y,
        text=f"<b>{number}</b>",
        showarrow=False,
        xshift=x_shift,
        yshift=y_shift,
        font={"size": 13, "color": "#ffffff"},
        bgcolor="#374151",
        bordercolor="#ffffff",
        borderwidth=1,
        borderpad=3,
    )
