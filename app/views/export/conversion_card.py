"""Converting the checkpoint in the background: what it needs, how far it is, what came of it."""

import json
from pathlib import Path

import streamlit as st
from pandas import isna
from ui import workers
from ui.errors import show_error, shown_in_place
from ui.live import SECONDS_BETWEEN_LOOKS, is_live, progress_row, stopped
from ui.paths import require_run_within_root, typed_path
from ui.results import result_of
from ui.state import redrawn_alone
from ui.wording import when

from qcqa.charts.common.markup import plain
from qcqa.charts.common.palette import method_style
from qcqa.charts.common.wording import counted
from qcqa.charts.jobs.conversions_table import conversions_table
from qcqa.conversion.converted import Converted
from qcqa.errors import ConversionError, QCQAError
from qcqa.export.preflight import (
    ConversionPreflight,
    ConversionSource,
    conversion_source,
    preflight_conversion,
)
from qcqa.files.writing import zipped
from qcqa.jobs.config import ConversionConfig
from qcqa.jobs.conversions import conversions_of, converted_of, create_conversion, default_folder
from qcqa.jobs.plans import origin_of
from qcqa.jobs.run import Run
from qcqa.plan.plan import Plan
from qcqa.sizes import bytes_text
from qcqa.text.texts_there import require_text_there

#: Larger checkpoints are not sent through the browser.
_MOST_ZIPPED_BYTES = 200 * 2**20


def conversion_card(run: Run, plan: Plan, max_kv_bits: int) -> None:
    """Draw the newest conversion of a run, the form that starts one, and the earlier ones."""
    with st.container(border=True, key="export_checkpoint"):
        st.subheader("Converted checkpoint", anchor=False)
        conversions = conversions_of(run)
        _newest(run, plan, max_kv_bits, next(iter(conversions), None))
        if len(conversions) > 1:
            _earlier(run, conversions[1:])


def _newest(run: Run, plan: Plan, max_kv_bits: int, newest: Run | None) -> None:
    """Draw the newest conversion, and the form unless it is at work."""
    with shown_in_place():
        if newest is not None:
            status = newest.status()
            if is_live(newest, status):
                _live(newest)
                return
            if status.state == "finished":
                _finished(newest)
                is_same = _config(newest).point == (plan.method, max_kv_bits)
                label = "Convert it once more" if is_same else "Convert the selected plan"
                with st.expander(label, icon=":material/add:", expanded=not is_same):
                    _form(run, plan, max_kv_bits)
                return
            stopped(newest, status, kind="conversion", kept="Nothing half-written is kept.")
    _form(run, plan, max_kv_bits)


def _earlier(run: Run, conversions: list[Run]) -> None:
    """List the conversions before the newest, two lines each."""
    result = result_of(run)
    if result is None:
        return
    table = conversions_table(conversions, result)
    with st.expander(
        counted(len(table), "earlier conversion"), key="earlier_conversions", type="compact"
    ):
        for row in table.to_dict("records"):
            ratio = "" if isna(row["KV ratio"]) else f", KV ratio {row['KV ratio']:.4g}"
            with st.container(gap=None):
                st.markdown(plain(row["folder"]))
                st.caption(
                    f"{plain(row['method'])}{ratio} · {row['state']} · {when(row['created'])}"
                )


@st.fragment(run_every=SECONDS_BETWEEN_LOOKS)
@redrawn_alone
def _live(conversion: Run) -> None:
    """Follow a conversion; the page is drawn anew when it has ended."""
    workers.reap()
    with shown_in_place():
        status = conversion.status()
        if not is_live(conversion, status):
            st.rerun()
        st.caption(f"Writes to {plain(_config(conversion).folder)}")
        with st.container(key="live"):
            progress_row(conversion, status)


def _form(run: Run, plan: Plan, max_kv_bits: int) -> None:
    """Ask where to, say what it takes, and start it on a click."""
    default = str(default_folder(run, plan))
    st.caption(
        "A whole folder: smaller weights, config, tokenizer, plan, model card, and the code with "
        "which transformers opens it. It is written in the background, and its live KV cache is "
        "measured in the end."
    )
    left, right = st.columns([8, 2], vertical_alignment="bottom")
    text = left.text_input(
        # Another plan, another folder.
        "Folder to write",
        default,
        key=f"convert_folder_{default}",
        help="On the machine on which the dashboard runs; new or empty.",
    ).strip()
    needs, folder = None, Path(default)
    try:
        folder = typed_path(text or default, ConversionError)
        require_run_within_root(run)
        require_text_there(plan, run.fitted_folder)
        needs = preflight_conversion(_source(run.search.model, run.search.revision), plan, folder)
    except QCQAError as error:
        show_error(error)
    else:
        st.caption(_needs_text(needs, plan))
    is_asked = right.button(
        "Convert",
        type="primary",
        icon=":material/play_arrow:",
        width="stretch",
        key="start_conversion",
        disabled=needs is None,
    )
    if is_asked:
        with shown_in_place():
            point = (plan.method, max_kv_bits)
            workers.start(
                create_conversion(run, point=point, folder=folder, origin=origin_of(plan))
            )
            st.rerun()


@st.cache_data(ttl=60, max_entries=8, show_spinner=False)
def _source(model: str, revision: str | None) -> ConversionSource:
    """Return the source as it was a minute ago at most: the slider must not wait for a disk.

    Whoever starts a conversion looks again.
    """
    return conversion_source(model, revision=revision)


def _needs_text(needs: ConversionPreflight, plan: Plan) -> str:
    """Say what a conversion reads, writes and takes, as Markdown."""
    free = (
        "" if needs.memory_free_bytes is None else f" ({bytes_text(needs.memory_free_bytes)} free)"
    )
    how = (
        "the model is refitted in float32"
        if plan.refit
        else "the model reads its calibration text in float32"
        if plan.calibration
        else "a layer at a time"
    )
    lines = [
        f":material/check_circle: Writes {bytes_text(needs.weight_bytes)} of weights (source "
        f"{bytes_text(needs.source_bytes)}); "
        f"{bytes_text(needs.disk_free_bytes)} free on this disk.",
        f":material/memory: Takes {bytes_text(needs.memory_bytes)} of memory{free}: {how}.",
    ]
    if not needs.can_be_opened:
        lines.append(
            f":material/info: Opening it would take {bytes_text(needs.opening_bytes)} of memory: "
            "its cache is not measured on this machine."
        )
    return "  \n".join(lines)


def _finished(conversion: Run) -> None:
    """Draw where the checkpoint is, that its cache is as promised, and how to open it."""
    converted = converted_of(conversion)
    folder = Path(converted.folder)
    if not folder.is_dir():
        st.info(
            f"{plain(str(folder))} was written, but is no longer there.",
            icon=":material/folder_off:",
        )
        return
    st.success(f"Written to {plain(str(folder))}", icon=":material/check_circle:")
    left, right = st.columns([5, 7], gap="medium")
    with left:
        st.table(_came_of(converted, _config(conversion)), border="horizontal")
        if converted.weight_bytes <= _MOST_ZIPPED_BYTES:
            st.download_button(
                "Download as zip",
                lambda: zipped(folder),
                file_name=f"{folder.name}.zip",
                mime="application/zip",
                icon=":material/folder_zip:",
                width="stretch",
                on_click="ignore",
                key="download_checkpoint",
            )
    with right:
        st.code(_opening(folder), language="python", wrap_lines=True)


def _came_of(converted: Converted, config: ConversionConfig) -> dict[str, str]:
    held, promised = converted.measured_bytes_per_token, converted.promised_bytes_per_token
    return {
        "Method": plain(method_style(config.point[0]).label),
        "Weights": f"{bytes_text(converted.weight_bytes)}, "
        f"source {bytes_text(converted.source_bytes)}",
        "KV cache promised": f"{promised:,.0f} bytes per token",
        "KV cache measured": (
            "not opened: too little memory" if held is None else f"{held:,.0f} bytes per token"
        ),
    }


def _opening(folder: Path) -> str:
    return (
        "import qcqa\n\n"
        f"folder = {json.dumps(str(folder))}\n"
        "model = qcqa.load(folder)\n\n"
        "# Or, where QCQA Explorer is not installed:\n"
        "from transformers import AutoModelForCausalLM\n\n"
        "model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)\n"
    )


def _config(conversion: Run) -> ConversionConfig:
    config = conversion.config
    assert isinstance(config, ConversionConfig)
    return config
