"""What each layer of a plan does alone: what was measured, what is being measured, and the form."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import streamlit as st
from ui import workers
from ui.device import choose_device, choose_dtype, probable_device
from ui.duration import tell_estimate
from ui.errors import show_error, shown_in_place
from ui.live import SECONDS_BETWEEN_LOOKS, is_live, progress_row, stopped
from ui.looks import require_model
from ui.paths import typed_file
from ui.search_model import look_at
from ui.state import redrawn_alone

from qcqa.charts.common.markup import plain
from qcqa.charts.common.wording import counted
from qcqa.charts.layers.layer_effects import conditions_text, effects_sentence
from qcqa.errors import EvaluationError, QCQAError, RunError
from qcqa.jobs.config import JOB_FOLDERS, SensitivityConfig
from qcqa.jobs.outcomes import load_outcome
from qcqa.jobs.run import Run
from qcqa.jobs.sensitivities import (
    FOUND,
    create_sensitivity,
    estimated_sensitivity,
    found_before,
    sensitivities_of,
)
from qcqa.measure.sensitivity import (
    LayerSensitivity,
    SensitivitySettings,
    TextAmount,
    reduced_layers,
)
from qcqa.pick.points import plan_of_point
from qcqa.plan.plan import Plan
from qcqa.search.result import SearchResult
from qcqa.text.fitted import needs_text
from qcqa.text.texts_there import require_text_there

_STORIES, _FILE = "Held-out stories", "Text file"


def effects_of(run: Run, plan: Plan) -> LayerSensitivity | None:
    """Return what was measured last of the layers of the very model that a plan makes, or None."""
    return _newest(effects for effects in _all_found(run) if effects.plan_digest == plan.digest)


def effects_panel(
    run: Run, result: SearchResult, plan: Plan, found: LayerSensitivity | None
) -> None:
    """Say what the layers of a plan do, follow what is being measured, and offer to measure.

    Parameters
    ----------
    run : Run
        A search.
    result : SearchResult
        Its fronts.
    plan : Plan
        One of its plans.
    found : LayerSensitivity or None
        What is known of it.
    """
    if not reduced_layers(plan):
        return
    if found is not None:
        st.markdown(effects_sentence(found))
        st.caption(f"Measured on {plain(conditions_text(found))}.")
    newest = next(iter(sensitivities_of(run)), None)
    if newest is not None:
        with shown_in_place():
            status = newest.status()
            if is_live(newest, status):
                _live(newest)
                return
            if status.state != "finished" and _is_of(newest, result, plan):
                stopped(newest, status, kind="measurement", kept="What was read is kept.")
    if plan.has_codecs:
        return
    label = "Measure what each layer does alone" if found is None else "Measure the layers again"
    form = st.expander(label, icon=":material/add:", key="measure_layers", on_change="rerun")
    if form.open:
        with form, shown_in_place():
            _form(run, plan)


def _newest(found: Iterable[LayerSensitivity]) -> LayerSensitivity | None:
    return max(found, key=lambda effects: effects.finished, default=None)


def _all_found(run: Run) -> Iterator[LayerSensitivity]:
    """Yield what was measured of any plan of a run."""
    for path in (run.additions / JOB_FOLDERS["sensitivity"]).glob(f"*/{FOUND}"):
        found = _loaded(str(path), path.stat().st_mtime_ns)
        if found is not None:
            yield found


@st.cache_resource(max_entries=64, show_spinner=False)
def _loaded(
    path: str,
    written: int,  # noqa: ARG001  # a file that is written again is another key of the cache
) -> LayerSensitivity | None:
    try:
        return load_outcome(LayerSensitivity, Path(path))
    except RunError:
        return None


def _is_of(measurement: Run, result: SearchResult, plan: Plan) -> bool:
    """Return whether a measurement is of this plan."""
    config = measurement.config
    if not isinstance(config, SensitivityConfig):
        return False
    return plan_of_point(result, config.point).digest == plan.digest


@st.fragment(run_every=SECONDS_BETWEEN_LOOKS)
@redrawn_alone
def _live(measurement: Run) -> None:
    """Follow a measurement; the page is drawn anew when it has ended."""
    workers.reap()
    with shown_in_place():
        status = measurement.status()
        if not is_live(measurement, status):
            st.rerun()
        with st.container(border=True, key="live_layers"):
            st.caption(f"What each layer does alone: {plain(measurement.name)}")
            progress_row(measurement, status, key="cancel_layers")


def _form(run: Run, plan: Plan) -> None:
    """Ask for the text and how much of it is read, and start the measurement on a click."""
    st.caption(
        "Each layer in turn is reduced as this plan has it, and all others stay the source's: how "
        "far do the predictions move? That shows where the plan costs most."
    )
    left, right = st.columns([3, 1], gap="medium")
    with left:
        text = _text(run)
    with right:
        st.session_state.setdefault("layers_windows", SensitivitySettings("").num_windows)
        windows = st.number_input(
            "Windows, at most",
            min_value=1,
            step=8,
            key="layers_windows",
            help="Passages of up to 512 tokens, evenly from the whole text. Below 10 there is no "
            "standard error.",
        )
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        device = choose_device("layers_device")
        dtype = choose_dtype(plan.model.dtype, "layers_dtype", device=device)
    if text is None:
        return
    settings = SensitivitySettings(text, num_windows=int(windows))
    said, can_start = "", False
    with shown_in_place():
        require_model(run)
        require_text_there(plan, run.fitted_folder)
        if found_before(run, plan, settings, device=device, dtype=dtype) is not None:
            said = "This is measured already."
        else:
            said = _expectation(run, plan, settings, device, dtype)
            can_start = True
    if workers.asked("Measure", said, key="start_layers", can_start=can_start):
        point = (plan.method, plan.kv_bits)
        workers.start(
            create_sensitivity(run, point=point, settings=settings, device=device, dtype=dtype)
        )
        st.rerun()


def _text(run: Run) -> str | None:
    """Ask for the text; return its whole path, or None while there is none that can be read."""
    if run.search.model == "demo":
        kind = st.segmented_control(
            "Text",
            [_STORIES, _FILE],
            default=_STORIES,
            required=True,
            wrap=True,
            key="layers_text",
        )
        if kind == _STORIES:
            return "demo"
    file = st.text_input(
        "Text file", placeholder="path of a text file in UTF-8", key="layers_file"
    ).strip()
    if not file:
        st.caption("Enter the path of a text file that the plan was not calibrated on.")
        return None
    try:
        path = typed_file(file, expected="a text file in UTF-8", refusal=EvaluationError)
    except QCQAError as error:
        show_error(error)
        return None
    return str(path.resolve())


def _expectation(
    run: Run, plan: Plan, settings: SensitivitySettings, device: str, dtype: str
) -> str:
    """Say how much is read, how long it takes and how much memory.

    Raises
    ------
    QCQAError
        If the text cannot be used for this plan.
    """
    model = look_at(run.search.model, run.search.revision)
    if isinstance(model, QCQAError):
        raise model.with_traceback(None)
    text = _amount(run, plan, settings)
    estimate = estimated_sensitivity(
        run, model, plan, text, device=probable_device(device), dtype=dtype
    )
    said = (
        f"Reads {counted(text.num_windows, 'window')}, with the source and "
        f"{counted(len(reduced_layers(plan)), 'layer')} one at a time. {tell_estimate(estimate)}"
    )
    if needs_text(plan, run.fitted_folder):
        said += (
            " Part of it is fitting the plan on its calibration text; that is kept for the next"
            " time."
        )
    return said


def _amount(run: Run, plan: Plan, settings: SensitivitySettings) -> TextAmount:
    """Return how much of the text is read.

    Raises
    ------
    QCQAError
        If the text cannot be used for this plan.
    """
    text = settings.text
    stamp = (text, 0) if text == "demo" else (text, Path(text).stat().st_mtime_ns)
    found = _looked_at((run.id, plan.digest, settings, stamp), run, plan, settings)
    if isinstance(found, QCQAError):
        raise found.with_traceback(None)
    return found


@st.cache_resource(ttl=60, max_entries=32, show_spinner="Looking at the text …")
def _looked_at(
    at: tuple[object, ...],  # noqa: ARG001  # the cache's key: what follows has none
    _run: Run,
    _plan: Plan,
    _settings: SensitivitySettings,
) -> TextAmount | QCQAError:
    # Here, because it loads torch: the page does without until the form is opened.
    from qcqa.measure.measure_layers import require_sensitivity

    try:
        return require_sensitivity(
            _run.search.model,
            _plan,
            _settings,
            revision=_run.search.revision,
            fitted=_run.fitted_folder,
        )
    except QCQAError as error:
        return error
