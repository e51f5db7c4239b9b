"""The inverse of the budget: how long contexts get on a GPU, with the source and with the plan."""

import pandas as pd
import streamlit as st
from ui.state import choices, widget

from qcqa.charts.common.kv_axis import significant
from qcqa.charts.common.palette import method_style
from qcqa.charts.fronts.comparison import BudgetPoint
from qcqa.charts.quality.capacity import capacity_sentence, capacity_table
from qcqa.model.size import ModelSize, size_on_this_machine
from qcqa.model.spec import ModelSpec
from qcqa.plan.budget import CacheLoad
from qcqa.plan.capacity import UTILIZATION, WEIGHT_BYTES, Server, capacity_of
from qcqa.plan.gpus import GPUS, Gpu
from qcqa.search.result import SearchResult

_FIRST, _OTHER = "H100 80GB", "other"
_SECONDS_TO_KEEP = 300


def gpu_panel(result: SearchResult, load: CacheLoad, selected: BudgetPoint) -> None:
    """Draw what the chosen GPU has room for, and the choice of it.

    Parameters
    ----------
    result : SearchResult
        Whose plan it is.
    load : CacheLoad
        Batch, context and type of the cache, as chosen with the budget.
    selected : BudgetPoint
        The selected plan.

    Raises
    ------
    QCQAError
        If a number is out of range.
    """
    spec, front = result.spec, result.fronts[selected.method]
    size = _size_of(spec)
    with st.container(border=True, key="gpu_box"):
        row = st.container(
            horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"
        )
        with row:
            heading = st.container(width="content")
            details = st.popover(
                "GPU and model", icon=":material/developer_board:", key="gpu", on_change="rerun"
            )
        if details.open:
            with details:
                _choices(spec, size)
        count = _num_parameters(size)
        if count is None:
            heading.markdown("**What fits on a GPU?**")
            st.caption(
                "The model's files are not on this machine: give its number of parameters "
                "under **GPU and model**."
            )
            return
        gpu = _gpu()
        server = Server(gpu.memory_gib, count, _weights(spec))
        source = capacity_of(spec, server, load)
        plan = capacity_of(spec, server, load, layers=front.plan_layers(selected.index))
        most = size.most_tokens if size else None
        heading.markdown(f"**{capacity_sentence(gpu.name, load, source, plan, most_tokens=most)}**")
        table = capacity_table(source, plan, load)
        names = ["source", method_style(selected.method).label]
        table.index = pd.Index(names, name="model")
        st.table(table.style.format("{:,.0f}").format(_size_text, subset=list(table)[:2]))
        st.caption(
            f"{100 * UTILIZATION:.0f} % of {gpu.memory_gib:g} GiB for weights in "
            f"{server.weight_dtype} and a cache in {load.dtype}; an engine's activations come out "
            "of it, too. Batch, context and cache dtype are those of the budget."
        )


def _choices(spec: ModelSpec, size: ModelSize | None) -> None:
    """Draw the choice of GPU, and what there is to know of the model's weights."""
    chosen = choices()
    st.selectbox(
        "GPU",
        [*GPUS, _OTHER],
        format_func=lambda name: "Another one" if name == _OTHER else name,
        **widget("gpu", _gpu_name(), key="gpu_name"),
    )
    if _gpu_name() == _OTHER:
        st.number_input(
            "Memory, GiB",
            min_value=0.001,
            max_value=1e6,
            step=8.0,
            help="Of several GPUs the sum, where they split weights and KV heads evenly.",
            **widget("memory", chosen.memory),
        )
    else:
        st.caption(f"Memory according to: {GPUS[_gpu_name()].source}.")
    st.selectbox(
        "Weight dtype",
        list(WEIGHT_BYTES),
        **widget("weights", _weights(spec)),
    )
    counted = size.num_parameters / 1e9 if size else None
    st.number_input(
        "Parameters, billions",
        min_value=1e-6,
        max_value=1e6,
        value=None,
        format="%.4g",
        help="Of the source model; counted in its files where they are on this machine.",
        **widget("parameters", chosen.parameters or counted),
    )


def _gpu_name() -> str:
    name = choices().gpu
    return name if name in GPUS or name == _OTHER else _FIRST


def _gpu() -> Gpu:
    memory = choices().memory
    return GPUS.get(_gpu_name(), Gpu(f"a GPU of {memory:g} GiB", memory, ""))


def _weights(spec: ModelSpec) -> str:
    return choices().weights or (spec.dtype if spec.dtype in WEIGHT_BYTES else "bfloat16")


def _num_parameters(size: ModelSize | None) -> int | None:
    given = choices().parameters
    if given is not None:
        return round(given * 1e9)
    return size.num_parameters if size else None


@st.cache_data(show_spinner=False, ttl=_SECONDS_TO_KEEP)
def _size_of(spec: ModelSpec) -> ModelSize | None:
    """Return the model's size; it is looked for now and then, for a model may come and go."""
    return size_on_this_machine(spec)


def _size_text(size: object) -> str:
    return significant(float(str(size)))
