"""The charts of the dashboard as they are exported: each says of itself what it shows."""

from collections.abc import Iterable

import plotly.graph_objects as go

from qcqa.charts.common.figure_file import titled
from qcqa.charts.common.kv_axis import KvAxis, size_text
from qcqa.charts.common.palette import method_style
from qcqa.charts.common.wording import geometry_text, in_sentence
from qcqa.charts.fronts.error_axis import scales_of
from qcqa.charts.fronts.pareto import pareto_figure
from qcqa.charts.layers.groups import grouping_figure
from qcqa.charts.quality.accuracy import accuracy_figure
from qcqa.charts.quality.series import metrics_of
from qcqa.errors import ExportError
from qcqa.measure.evaluation import Evaluation
from qcqa.plan.plan import Plan
from qcqa.search.result import SearchResult

#: Longer names of runs are cut: a title has one line.
_LONGEST_NAME = 40


def front_chart(
    result: SearchResult,
    axis: KvAxis,
    *,
    name: str,
    vertical: str = "relative",
    rows: Iterable[Evaluation] = (),
    budget: float | None = None,
) -> go.Figure:
    """Return the fronts of all methods, ready for a file.

    Parameters
    ----------
    result : SearchResult
        Fronts of the methods.
    axis : KvAxis
        Unit of the cache's size.
    name : str
        Of the run, for the title.
    vertical : str
        What the vertical axis shows: an error that the search predicts, see
        :func:`~qcqa.charts.fronts.error_axis.scales_of`, or a measured metric.
    rows : iterable of Evaluation
        What was measured.
    budget : float, optional
        KV ratio; drawn as a line.

    Raises
    ------
    ExportError
        If the search does not know the error, or the metric was not measured.
    """
    every = tuple(rows)
    scales, metrics = scales_of(result), metrics_of(every)
    about = [_model_text(result)]
    if budget is not None:
        size = size_text(100 * budget, "percent")
        about.append(f"budget {size} of the source's KV cache")
    if vertical in metrics:
        label = f"{metrics[vertical]}, measured,"
        figure = accuracy_figure(every, vertical, axis, fronts=result.fronts, budget=budget)
    elif vertical in scales:
        label = scales[vertical]
        figure = pareto_figure(result, axis, budget=budget, scale=vertical)
    else:
        raise ExportError(
            f"vertical axis {vertical!r}", expected=f"one of {', '.join([*scales, *metrics])}"
        )
    title = f"{_cut(name)}: {in_sentence(label)} against KV-cache size"
    return titled(figure, title, " · ".join(about))


def grouping_chart(plan: Plan, *, name: str) -> go.Figure:
    """Return which heads of a plan share, ready for a file; ``name`` is that of the run."""
    ratio = size_text(100 * plan.kv_ratio, "percent")
    method = method_style(plan.method, plan.model).label
    return titled(
        grouping_figure(plan),
        f"{_cut(name)}: heads that share, {method} at {ratio} of the KV cache",
        "heads of one colour and number share one head; a grey head keeps its own",
    )


def _model_text(result: SearchResult) -> str:
    return f"{result.spec.model_type}, {geometry_text(result.spec)}"


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
