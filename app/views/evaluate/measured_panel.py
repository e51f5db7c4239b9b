"""What was measured: the accuracy front, whether WSE stands for it, and the table."""

from collections.abc import Mapping
from functools import partial

import streamlit as st
from ui.axis_choice import metric_choice
from ui.budget import chosen_load
from ui.chart import legible
from ui.state import choices, redrawn_alone

from qcqa.charts.common.kv_axis import KvAxis
from qcqa.charts.common.rounded import zeros_unsigned
from qcqa.charts.quality.accuracy import accuracy_caption, accuracy_figure
from qcqa.charts.quality.accuracy_table import accuracy_table
from qcqa.charts.quality.proxy import check_proxy, proxy_figure, proxy_metric
from qcqa.charts.quality.series import metrics_of
from qcqa.charts.quality.wse_verdict import chosen_by_loss, wse_verdict
from qcqa.jobs.config import EvaluationConfig
from qcqa.jobs.run import Run
from qcqa.measure.comparable import Conditions, conditions_of, conditions_under
from qcqa.measure.evaluation import Evaluation
from qcqa.search.result import SearchResult

#: Widths that do not change with the metric: the browser keeps those of the first one.
_number = partial(st.column_config.NumberColumn, width="small")


@st.fragment
@redrawn_alone
def measured_panel(
    result: SearchResult, rows: tuple[Evaluation, ...], name: str, newest: Run | None
) -> None:
    """Draw the figures of a run.

    Parameters
    ----------
    result : SearchResult
        Its fronts.
    rows : tuple of Evaluation
        What was measured; at least one metric.
    name : str
        Of the run, for the file's name.
    newest : Run or None
        The newest evaluation: what it measures is shown first.
    """
    metrics = metrics_of(rows)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        metric = metric_choice(metrics)
        conditions = _conditions(rows, metric, newest)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _front(result, rows, metric, conditions)
    with right:
        _proxy(result, rows)
    _table(rows, metrics, metric, conditions, name)


def _conditions(rows: tuple[Evaluation, ...], metric: str, newest: Run | None) -> Conditions | None:
    """Ask which of several ways to measure is shown: their figures are not comparable."""
    offered = conditions_of(rows, metric)
    if len(offered) < 2:
        return None
    first = 0
    if newest is not None and isinstance(newest.config, EvaluationConfig):
        asked = newest.config
        wanted = [
            conditions_under(asked.benchmark, metric, device=device, dtype=asked.dtype)
            for device in {way.device for way in offered if asked.may_run_on(way.device)}
        ]
        first = next((place for place, way in enumerate(offered) if way in wanted), 0)
    chosen: Conditions | None = st.selectbox(
        "Measured on",
        offered,
        index=first,
        format_func=lambda way: way.label,
        label_visibility="collapsed",
        # A choice among other ways to measure is another choice.
        key=f"conditions_{metric}_{offered[first].label}",
    )
    return chosen


def _front(
    result: SearchResult, rows: tuple[Evaluation, ...], metric: str, conditions: Conditions | None
) -> None:
    axis = KvAxis(result.spec, chosen_load(result.spec), choices().unit)
    fronts = result.at(axis.load).fronts
    figure = accuracy_figure(rows, metric, axis, fronts=fronts, conditions=conditions)
    if not figure.data:
        st.info("No model has a figure for this metric.", icon=":material/info:")
        return
    st.plotly_chart(
        legible(figure),
        key="accuracy_chart",
        config={"displayModeBar": False},
        alt="Measured figures against KV-cache size, a line per method",
    )
    st.caption(accuracy_caption(figure, rows, metric, conditions=conditions))


def _proxy(result: SearchResult, rows: tuple[Evaluation, ...]) -> None:
    metric = proxy_metric(rows)
    if metric is None:
        st.caption("WSE against the measured loss shows here once a plan is measured.")
        return
    check = check_proxy(rows, metric, chosen_by_loss(result))
    st.plotly_chart(
        legible(proxy_figure(rows, metric)),
        key="proxy_chart",
        config={"displayModeBar": False},
        alt="Relative WSE of each plan against the loss that was measured",
    )
    st.markdown(wse_verdict(result, rows))
    st.caption(check.figures)


def _table(
    rows: tuple[Evaluation, ...],
    metrics: Mapping[str, str],
    metric: str,
    conditions: Conditions | None,
    name: str,
) -> None:
    label = metrics[metric]
    table = accuracy_table(rows, {metric: label}, conditions=conditions)
    if table["merge"].nunique() <= 2:
        table = table.drop(columns="merge")
    # Points have the digits of the shares that they are the differences of.
    change, is_share = f"{label}, change", f"{label}, %" in table
    if is_share and change in table:
        table[change] = zeros_unsigned(table[change], 2)
    st.dataframe(
        table,
        hide_index=True,
        column_config={
            "method": st.column_config.TextColumn(pinned=True),
            "KV ratio": _number(format="%.4f"),
            "relative WSE": _number(format="%.4f", width=None),
            f"{label}, %": _number(format="%.2f", width="medium"),
            label: _number(format="%.5g", width="medium"),
            f"{label}, standard error": _number("± SE", format="%.2g", help="One standard error."),
            change: _number(
                "change",
                format="%+.2f" if is_share else "%+.4g",
                help="Against the source; in percentage points where it is a share.",
            ),
            f"{label}, standard error of change": _number(
                "± SE of change", format="%.2g", help="Paired: both models had the same samples."
            ),
            f"{label}, % kept": _number("% kept", format="%.1f", help="Of the source's figure."),
        },
        placeholder="\N{EM DASH}",
        key="measured_table",
        alt=f"{label} of every measured model",
    )
    st.download_button(
        "Download CSV",
        accuracy_table(rows, metrics).to_csv(index=False),
        file_name=f"measured-{name}.csv",
        mime="text/csv",
        icon=":material/download:",
        help="All metrics of all measured models.",
        on_click="ignore",
        key="download_measured",
    )
