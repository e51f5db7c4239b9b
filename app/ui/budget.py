"""The KV-cache budget: a slider in the unit of the reader's choice, and the load behind GiB."""

import streamlit as st

from qcqa.charts.common.kv_axis import KV_UNITS, KvAxis, load_text, size_text
from qcqa.model.spec import DTYPE_BYTES, ModelSpec
from qcqa.plan.budget import CacheLoad, bits_within_ratio
from qcqa.search.result import SearchResult
from ui.state import choices, choose, controlled, widget

#: Steps of the slider over the source's whole cache.
_STEPS = 1000


def budget_controls(result: SearchResult) -> tuple[SearchResult, KvAxis, int]:
    """Draw slider, unit and load; return the result at it, the axis, and the budget in bits.

    Raises
    ------
    QCQAError
        If the model's own dtype is none in which caches are kept.
    """
    with st.container(border=True, key="budget_box"):
        left, right = st.columns([6, 5], vertical_alignment="bottom", gap="medium")
        with right, st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            st.segmented_control(
                "Show sizes in",
                list(KV_UNITS),
                format_func=lambda unit: KV_UNITS[unit],
                required=True,
                **widget("unit", choices().unit),
            )
            load = chosen_load(result.spec)
            axis = KvAxis(result.spec, load, choices().unit)
            details = st.popover(
                load_text(load), icon=":material/memory:", key="load", on_change="rerun"
            )
            # What a browser is told while it shows nothing of it is lost when this is opened.
            if details.open:
                with details:
                    _exact_size(axis)
                    _load(load)
        with left:
            _slider(axis)
    return result.at(load), axis, bits_within_ratio(result.spec, choices().budget / 100)


def budget_field(result: SearchResult, *, key: str) -> tuple[SearchResult, int]:
    """Draw the budget in percent to type; return the result at the chosen load, and it in bits.

    Parameters
    ----------
    result : SearchResult
        Whose plans are to fit.
    key : str
        The widget's key: a page may have several of these.
    """
    st.number_input(
        "KV budget, % of the source's",
        min_value=0.1,
        max_value=100.0,
        step=5.0,
        format="%.4g",
        **widget("budget", choices().budget, key=key),
    )
    budget = bits_within_ratio(result.spec, choices().budget / 100)
    return result.at(chosen_load(result.spec)), budget


def _slider(axis: KvAxis) -> None:
    percent = choices().budget
    step = axis.full / _STEPS
    place = max(1, round(percent / 100 * _STEPS))
    in_percent = axis.unit == "percent"
    other = KvAxis(axis.spec, axis.load, "gib" if in_percent else "percent")
    here, there = (size_text(shown.full * percent / 100, shown.unit) for shown in (axis, other))

    def moved(value: float) -> None:
        choose(budget=100 * round(value / step) / _STEPS)

    st.slider(
        f"KV budget: {here} = {there}{'' if in_percent else ' of the source'}",
        min_value=step,
        max_value=axis.full,
        step=step,
        format="%.1f %%" if in_percent else f"%.{_decimals(axis.full)}f {axis.suffix}",
        help="The best plan of each method that needs no more than this is shown below.",
        # Each unit has a slider of its own: one slider's bounds must not change under the hand.
        **controlled(_slider_key(axis), place * step, moved),
    )


def _exact_size(axis: KvAxis) -> None:
    """Draw the budget as a number to type: a slider cannot be set to 8 GiB sharp."""
    key = f"{_slider_key(axis)}_exact"
    step = axis.full / _STEPS
    st.number_input(
        f"KV budget, {axis.suffix}",
        min_value=0.0,
        max_value=axis.full,
        step=step,
        format="%.6g",
        **controlled(
            key,
            axis.full * choices().budget / 100,
            lambda size: choose(budget=100 * max(size, step) / axis.full),
        ),
    )


def _slider_key(axis: KvAxis) -> str:
    return "budget" if axis.unit == "percent" else f"budget_{axis.unit}_{axis.full:.6g}"


def _decimals(full: float) -> int:
    """Return how many digits behind the point tell one step of the slider from the next."""
    return 3 if full < 2 else 2 if full < 20 else 1 if full < 200 else 0


def chosen_load(spec: ModelSpec) -> CacheLoad:
    """Return what the cache has to hold."""
    chosen = choices()
    dtype = chosen.dtype or (spec.dtype if spec.dtype in DTYPE_BYTES else "bfloat16")
    return CacheLoad(context_tokens=chosen.context, batch_size=chosen.batch, dtype=dtype)


def _load(load: CacheLoad) -> None:
    """Draw what the cache has to hold."""
    st.caption("What the KV cache has to hold: it decides the size in GiB.")
    st.number_input(
        "Context, tokens",
        min_value=1,
        max_value=10**9,
        step=1024,
        **widget("context", load.context_tokens),
    )
    st.number_input(
        "Batch, sequences",
        min_value=1,
        max_value=10**9,
        step=1,
        **widget("batch", load.batch_size),
    )
    st.selectbox("Cache dtype", list(DTYPE_BYTES), **widget("dtype", load.dtype))
