"""The form that starts a search of the demo model or of a local checkpoint."""

from pathlib import Path

import streamlit as st

from qcqa.errors import QCQAError
from qcqa.methods import METHODS
from qcqa.report.kv_axis import significant
from qcqa.runs.store import create_run
from qcqa.search.config import SearchSettings
from qcqa.use_cases.inspect import ModelReport, inspect_model
from qcqa.use_cases.presets import PRESETS, Preset
from qcqa.use_cases.search import SEARCHED_METHODS, calibration_of
from ui import workers
from ui.state import choose
from ui.wording import geometry_text, listed

DEMO, FOLDER = "Demo model", "Local folder"

#: How thorough a search may be, from a first look to a night's work.
EFFORTS: dict[str, SearchSettings] = {
    "Quick": SearchSettings(
        population_size=40, generations=30, stage2_population_size=80, stage2_generations=150
    ),
    "Standard": SearchSettings(),
    "Thorough": SearchSettings(
        population_size=200, generations=300, stage2_population_size=400, stage2_generations=1500
    ),
}

_PRESET_LABELS = {"paper": "As published", "best": "Best quality"}

_SEARCHED = [name for name in METHODS if name in SEARCHED_METHODS]

_OPEN = "search_form_is_open"


def open_form() -> None:
    """Have the form shown over the page until it is closed or a search is started."""
    st.session_state[_OPEN] = True


def _close_form() -> None:
    st.session_state[_OPEN] = False


def form_if_open() -> None:
    """Draw the form where it was opened.

    A page that follows a run at work draws itself anew now and then: an open form must outlive it.
    """
    if st.session_state.get(_OPEN):
        _form_over_page()


@st.dialog("New search", width="medium", icon=":material/search:", on_dismiss=_close_form)
def _form_over_page() -> None:
    search_form()


def search_form() -> None:
    """Ask what to search and how, and start it in a process of its own."""
    kind = st.segmented_control(
        "Model", [DEMO, FOLDER], default=DEMO, required=True, key="new_model"
    )
    source = "demo" if kind == DEMO else _folder()
    preset = PRESETS[
        st.radio(
            "Search",
            list(PRESETS),
            format_func=_PRESET_LABELS.__getitem__,
            captions=[preset.description for preset in PRESETS.values()],
            key="new_preset",
        )
    ]
    # Methods that only this preset has are what it is chosen for: they are no option.
    own = tuple(name for name in preset.methods if name not in _SEARCHED)
    calibration = _calibration(preset, is_demo=kind == DEMO) if own else None
    with st.expander("Advanced", icon=":material/tune:"):
        methods, settings = _advanced(own)
        name = st.text_input("Name", placeholder="the model's own", key="new_name")
    if not st.button(
        "Start search",
        type="primary",
        icon=":material/play_arrow:",
        width="stretch",
        key="start_search",
        disabled=not source or not methods or calibration == "",
    ):
        return
    try:
        settings = preset.settings(settings)
        text = calibration_of(source, calibration, methods=methods, settings=settings)
        inspect_model(source)
        run = create_run(
            model=source,
            methods=methods,
            settings=settings,
            calibration=text,
            name=name.strip() or (DEMO if kind == DEMO else None),
        )
        workers.start(run)
    except QCQAError as error:
        st.error(error.one_line(), icon=":material/error:")
        return
    choose(run=run.id, method=None)
    _close_form()
    st.rerun()


def _calibration(preset: Preset, *, is_demo: bool) -> str | None:
    """Ask for the calibration text; return None for the model's own, "" while there is none."""
    if is_demo:
        st.caption(
            ":material/schedule: Takes about two to five minutes on the demo model, which brings "
            "its own calibration text."
        )
        return None
    text = st.text_input(
        "Calibration text",
        placeholder="path of a plain text file",
        key="new_calibration",
        help="Plain text in the model's language, about 100 kB. "
        "Never the text on which the plans are evaluated.",
    ).strip()
    st.caption(
        ":material/schedule: The model runs on this text again and again, a layer at a time: "
        "minutes for the smallest models, far longer for large ones."
    )
    if not text:
        return ""
    try:
        # At once, not when the search is started.
        return calibration_of("", text, methods=preset.methods, settings=SearchSettings())
    except QCQAError as error:
        st.error(error.one_line(), icon=":material/error:")
        return ""


def _advanced(own: tuple[str, ...]) -> tuple[tuple[str, ...], SearchSettings]:
    """Ask for methods beside the preset's own, and how thoroughly they are searched."""
    methods = st.pills(
        "Methods",
        _SEARCHED,
        default=_SEARCHED,
        selection_mode="multi",
        format_func=lambda name: METHODS[name].label,
        key="new_methods",
    )
    always = [METHODS[name].label for name in (*own, "mha", "gqa", "mqa")]
    st.caption(f"{listed([*always, 'the lower bound'])} always come along.")
    effort = st.segmented_control(
        "Effort",
        list(EFFORTS),
        default="Standard",
        required=True,
        key="new_effort",
        help="Population and generations of the two NSGA-II stages.",
    )
    settings = _settings(EFFORTS[effort or "Standard"], key=str(effort))
    return (*methods, *own), SearchSettings(**settings)


def _folder() -> str:
    """Ask for a checkpoint's folder and say at once what is in it."""
    folder = st.text_input(
        "Folder of the checkpoint",
        placeholder="folder with config.json and *.safetensors",
        key="new_folder",
    ).strip()
    if not folder:
        return ""
    folder = str(Path(folder).expanduser())
    if not Path(folder).is_dir():
        st.error(f"There is no folder {folder}", icon=":material/error:")
        return ""
    try:
        st.caption(f":material/check_circle: {model_text(inspect_model(folder))}")
    except QCQAError as error:
        st.error(error.one_line(), icon=":material/error:")
        return ""
    return folder


def _settings(preset: SearchSettings, *, key: str) -> dict[str, int]:
    """Show the settings of an effort, each of which may be changed."""
    shown = {
        "population_size": "Candidates per generation, stage 1",
        "generations": "Generations, stage 1",
        "stage2_population_size": "Candidates per generation, stage 2",
        "stage2_generations": "Generations, stage 2",
        "restarts": "Restarts of the local search",
        "seed": "Seed",
    }
    chosen = {}
    with st.grid(2):
        for name, label in shown.items():
            least = {"population_size": 4, "stage2_population_size": 4}.get(name, 1)
            chosen[name] = st.number_input(
                label,
                min_value=0 if name in ("restarts", "seed") else least,
                value=getattr(preset, name),
                step=1,
                # Another effort, other fields: each keeps what was typed into it.
                key=f"new_{name}_{key}",
            )
    return chosen


def model_text(report: ModelReport) -> str:
    """Return in one line what a model is and what a search reads of it."""
    size = significant(report.bytes_to_read / 2**20)
    return f"{report.family}: {geometry_text(report.spec)}; a search reads {size} MiB"
