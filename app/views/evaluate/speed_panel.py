"""Speed and memory of measured plans: charts, what they say in words, and the table."""

import streamlit as st
from ui.chart import legible
from ui.state import redrawn_alone

from qcqa.charts.common.markup import plain
from qcqa.charts.quality.speed import SpeedConditions, speed_conditions, speed_sentence, speed_table
from qcqa.charts.quality.speed_chart import QUANTITIES, speed_figure
from qcqa.measure.evaluation import Evaluation


@st.fragment
@redrawn_alone
def speed_panel(rows: tuple[Evaluation, ...], name: str) -> None:
    """Draw the speed and memory of a run's models.

    Parameters
    ----------
    rows : tuple of Evaluation
        What was measured; speed at least once.
    name : str
        Of the run, for the file's name.
    """
    conditions = _conditions(rows)
    st.markdown(speed_sentence(rows, conditions))
    for column, quantity in zip(st.columns(3, gap="medium"), QUANTITIES.values(), strict=True):
        column.plotly_chart(
            legible(speed_figure(rows, conditions, quantity)),
            key=f"speed_{quantity.metric}",
            config={"displayModeBar": False},
            alt=f"{quantity.title}, a bar for every model",
        )
    st.caption(
        "Speeds are ratios to the source's (above 1 is faster): medians over rounds in which both "
        "took turns, with 1.96 standard errors. The times in the table were taken model by model, "
        "so a busy machine shows in them. A smaller KV cache always saves memory; it saves time "
        "where reading the cache takes long, in long contexts and large batches."
    )
    _table(rows, conditions, name)


def _conditions(rows: tuple[Evaluation, ...]) -> SpeedConditions:
    """Ask which of several loads is shown: their figures are not comparable."""
    offered = speed_conditions(rows)
    if len(offered) == 1:
        st.caption(f"Measured on: {plain(offered[0].label)}.")
        return offered[0]
    chosen: SpeedConditions = st.selectbox(
        "Measured on",
        offered,
        format_func=lambda conditions: conditions.label,
        key="speed_conditions",
    )
    return chosen


def _table(rows: tuple[Evaluation, ...], conditions: SpeedConditions, name: str) -> None:
    table = speed_table(rows, conditions)
    number = st.column_config.NumberColumn
    error = number("± SE", format="%.2g", help="One standard error of the median.")
    of_source = "Over the source's, as a median of ratios within a round; above 1 is faster."
    st.dataframe(
        table,
        hide_index=True,
        column_config={
            "method": st.column_config.TextColumn(pinned=True),
            "KV ratio": number(format="%.4f"),
            "speed of generation": number(format="%.3f\N{MULTIPLICATION SIGN}", help=of_source),
            "speed of generation, standard error": error,
            "ms per token": number(format="%.4g"),
            "ms per token, standard error": error,
            "tokens/s": number(format="%.4g"),
            "speed of the prompt": number(format="%.3f\N{MULTIPLICATION SIGN}", help=of_source),
            "speed of the prompt, standard error": error,
            "prompt, ms": number(format="%.4g"),
            "prompt, ms, standard error": error,
            "KV cache, MiB": number(format="%.4g", help="Counted on the tensors of the cache."),
            "measured ratio": number(format="%.4f", help="Bytes of the cache over the source's."),
            "peak beside the weights, MiB": number(format="%.4g"),
        },
        placeholder="\N{EM DASH}",
        key="speed_table",
        alt="Speed and memory of every measured model",
    )
    st.download_button(
        "Download CSV",
        table.to_csv(index=False),
        file_name=f"speed-{name.replace('/', '-')}.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        key="download_speed",
    )
