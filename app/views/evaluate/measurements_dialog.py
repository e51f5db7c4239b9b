"""Being rid of measurements: which one goes, of which models, and whether it can come back.

Whether it is open is kept, as the page draws itself anew while an evaluation is at work.
"""

import streamlit as st
from ui.errors import show_error

from qcqa.charts.common.markup import plain
from qcqa.charts.common.palette import method_style
from qcqa.charts.common.wording import counted
from qcqa.charts.quality.measurements import figures_text, measurement_title
from qcqa.errors import QCQAError
from qcqa.jobs.measurements import Measured, Model, forget, measurements_of, require_nothing_at_work
from qcqa.jobs.run import Run

_OPEN = "measurements_dialog"


def manage_button(run: Run) -> None:
    """Draw the button that opens the dialog, where there is anything to manage."""
    if run.measured() or run.measured_folder.num_hidden:
        st.button(
            "Manage figures",
            icon=":material/delete_sweep:",
            type="tertiary",
            key="manage_measurements",
            on_click=_open,
            args=(run.id,),
        )
    if st.session_state.get(_OPEN) == run.id:
        _manage(run)


def _open(run_id: str) -> None:
    st.session_state[_OPEN] = run_id


def _close() -> None:
    st.session_state[_OPEN] = None


@st.dialog("Manage figures", icon=":material/delete_sweep:", on_dismiss=_close)
def _manage(run: Run) -> None:
    try:
        require_nothing_at_work(run)
        measured = measurements_of(run)
        if measured:
            _delete(run, measured)
        _show_again(run)
    except QCQAError as error:
        show_error(error)


def _delete(run: Run, measured: list[Measured]) -> None:
    place = st.selectbox(
        "Measurement",
        range(len(measured)),
        format_func=lambda index: measurement_title(measured[index]),
        key="forget_which",
    )
    chosen = measured[place]
    models = {(row.method, row.kv_bits): row for row in chosen.rows}

    def name(model: Model) -> str:
        return f"{method_style(model[0]).label} at {100 * models[model].kv_ratio:.3g} %"

    only = st.multiselect(
        "Models",
        list(models),
        format_func=name,
        placeholder="all of them",
        # The models of another measurement are others.
        key=f"forget_models_{place}",
    )
    going = only or list(models)
    st.markdown(f"{counted(len(going), 'model')} would lose: {plain(figures_text(chosen))}.")
    st.caption(
        "What came with the package is hidden and can be shown again; what was measured here is "
        "deleted for good. Everything else stays."
        if run.bundled
        else "They are deleted for good. Everything else that was measured stays."
    )
    if st.button(
        "Hide or delete" if run.bundled else "Delete",
        type="primary",
        icon=":material/delete:",
        width="stretch",
        key="confirm_forget",
    ):
        forget(run, [chosen], models=going)
        _close()
        st.rerun()


def _show_again(run: Run) -> None:
    hidden = run.measured_folder.num_hidden
    if hidden and st.button(
        f"Show the hidden figures of {counted(hidden, 'model')} again",
        icon=":material/visibility:",
        width="stretch",
        key="show_hidden",
    ):
        run.measured_folder.show_hidden()
        _close()
        st.rerun()
