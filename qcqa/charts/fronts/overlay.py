"""Fronts of other runs over those of a run, where both are of a comparable kind."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from qcqa.charts.common.kv_axis import KvAxis
from qcqa.charts.common.kv_chart import NOT_FADED
from qcqa.charts.common.markup import in_chart
from qcqa.charts.common.palette import OVERLAY_STYLES, MethodStyle, in_order, method_style
from qcqa.charts.fronts.error_axis import ErrorAxis, ErrorScale
from qcqa.charts.quality.series import Series, series_of, short_name, value_text
from qcqa.measure.comparable import Conditions, conditions_of, rows_under
from qcqa.measure.evaluation import Evaluation
from qcqa.search.result import SearchResult

#: More runs in one chart cannot be told apart.
MOST_OVERLAYS = len(OVERLAY_STYLES)

_LONGEST_NAME = 22


@dataclass(frozen=True, eq=False)
class OtherRun:
    """A run to lay over another one.

    Parameters
    ----------
    name : str
        Its name for people.
    result : SearchResult
        Its fronts.
    rows : tuple of Evaluation
        What was measured of its plans.
    """

    name: str
    result: SearchResult
    rows: tuple[Evaluation, ...] = ()


def predicted_obstacle(
    other: OtherRun, result: SearchResult, axis: KvAxis, scale: ErrorScale
) -> str | None:
    """Return why a run's fronts cannot be laid over a result's, or None if they can.

    Parameters
    ----------
    other : OtherRun
        The run.
    result : SearchResult
        What it is to be compared with.
    axis : KvAxis
        Unit of the cache's size; only shares say the same of models of any geometry.
    scale : ErrorScale
        What the vertical axis shows.
    """
    if not _method(other.result, scale, None):
        return "has no front by this error"
    is_same_model = other.result.grams.fingerprint == result.grams.fingerprint
    if scale == "absolute" and not is_same_model:
        return "is of other weights: compare relative WSE"
    if scale in ("output-error", "loss") and other.result.calibration != result.calibration:
        return "was calibrated on another text: compare relative WSE"
    return _other_size(other, axis)


def measured_obstacle(
    other: OtherRun, rows: Iterable[Evaluation], axis: KvAxis, metric: str
) -> str | None:
    """Return why a run's figures cannot be laid over measured rows, or None if they can.

    Parameters
    ----------
    other : OtherRun
        The run.
    rows : iterable of Evaluation
        What it is to be compared with.
    axis : KvAxis
        Unit of the cache's size.
    metric : str
        Name of the metric.
    """
    there = conditions_of(other.rows, metric)
    if not there:
        return "was not measured in this"
    if _conditions(rows, metric) not in there:
        return "was measured on other samples"
    return _other_size(other, axis)


def predicted_traces(
    others: Iterable[OtherRun], axis: KvAxis, y_of: ErrorAxis, method: str | None
) -> list[go.Scatter]:
    """Return a front of each run, in steps.

    Parameters
    ----------
    others : iterable of OtherRun
        Runs that nothing prevents; see :func:`predicted_obstacle`.
    axis : KvAxis
        Unit of the cache's size.
    y_of : ErrorAxis
        The chart's vertical axis.
    method : str or None
        Whose front to draw; the best of the run where that has no front of it.
    """
    traces = []
    for other, style in zip(others, OVERLAY_STYLES, strict=False):
        chosen = _method(other.result, y_of.scale, method)
        if chosen is None:
            continue
        front = other.result.at(axis.load).fronts[chosen]
        kept = front.unbeaten
        kept = kept[np.unique(np.linspace(0, len(kept) - 1, 300).round().astype(np.int64))]
        values = ErrorAxis(other.result, y_of.scale).of_front(front, kept)
        name = _trace_name(other, method_style(chosen))
        other_axis = KvAxis(other.result.spec, axis.load, axis.unit)
        traces.append(
            go.Scatter(
                x=np.array(other_axis.of_array(front.size[kept])),
                y=y_of.heights(values),
                mode="lines+markers",
                line=_line(style) | {"shape": y_of.line_shape},
                marker=_marker(style) | {"maxdisplayed": 6},
                name=name,
                unselected=NOT_FADED,
                hovertemplate=f"<b>{name}</b><br>{y_of.name} %{{y:,.4~r}}"
                f"<br>KV cache %{{x:,.4~r}} {axis.suffix}<extra></extra>",
            )
        )
    return traces


def measured_traces(
    others: Iterable[OtherRun],
    rows: Iterable[Evaluation],
    axis: KvAxis,
    metric: str,
    method: str | None,
) -> list[go.Scatter]:
    """Return the measured plans of one method of each run, in steps.

    Parameters
    ----------
    others : iterable of OtherRun
        Runs that nothing prevents; see :func:`measured_obstacle`.
    rows : iterable of Evaluation
        What they are compared with: measured under the same conditions.
    axis : KvAxis
        Unit of the cache's size.
    metric : str
        Name of the metric.
    method : str or None
        Whose plans to draw; those of the run's best where that has none of it.
    """
    conditions = _conditions(rows, metric)
    traces = []
    for other, style in zip(others, OVERLAY_STYLES, strict=False):
        series = _series(other, metric, conditions, method)
        if series is None:
            continue
        name = _trace_name(other, series.style)
        other_axis = KvAxis(other.result.spec, axis.load, axis.unit)
        values = [figure.value for row in series.rows if (figure := row.figure(metric))]
        front = other.result.at(axis.load).fronts.get(series.method)
        kv_bits = [front.size_of(row.kv_bits) if front else row.kv_bits for row in series.rows]
        traces.append(
            go.Scatter(
                x=other_axis.of_array(kv_bits),
                y=values,
                mode="lines+markers",
                line=_line(style) | {"shape": "hv"},
                marker=_marker(style),
                name=name,
                unselected=NOT_FADED,
                text=[
                    f"<b>{name}</b><br>{value_text(metric, value)}"
                    f"<br>KV cache {other_axis.text(count)}"
                    for value, count in zip(values, kv_bits, strict=True)
                ],
                hovertemplate="%{text}<extra></extra>",
            )
        )
    return traces


def _method(result: SearchResult, scale: ErrorScale, wanted: str | None) -> str | None:
    """Return the wanted method, or else the best that the scale says something of."""
    y_of = ErrorAxis(result, scale)
    shown = [name for name in in_order(result.fronts) if y_of.shows(result.fronts[name])]
    if wanted in shown:
        return wanted
    aimed = [name for name in shown if y_of.is_aim_of(result.fronts[name])]
    return next(iter(aimed or shown), None)


def _series(
    other: OtherRun, metric: str, conditions: Conditions | None, wanted: str | None
) -> Series | None:
    found = series_of(rows_under(other.rows, metric, conditions))
    return next((series for series in found if series.method == wanted), next(iter(found), None))


def _trace_name(other: OtherRun, style: MethodStyle) -> str:
    return in_chart(f"{short_name(other.name, _LONGEST_NAME)}, {style.label}")


def _conditions(rows: Iterable[Evaluation], metric: str) -> Conditions | None:
    return next(iter(conditions_of(rows, metric)), None)


def _other_size(other: OtherRun, axis: KvAxis) -> str | None:
    other_axis = KvAxis(other.result.spec, axis.load, axis.unit)
    return None if other_axis.full == axis.full else "has a cache of another size: compare in %"


def _line(style: MethodStyle) -> dict[str, object]:
    return {"color": style.colour, "dash": style.dash, "width": style.width}


def _marker(style: MethodStyle) -> dict[str, object]:
    return {"color": style.colour, "symbol": style.symbol, "size": 8, "opacity": 1}
