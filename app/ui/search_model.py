"""Which model to search: the demo, a folder, or one of the Hub; and what can be said of it."""

import re
from pathlib import Path

import streamlit as st

from qcqa.errors import CheckpointError, QCQAError
from qcqa.files.user_path import as_meant, is_folder, user_path
from qcqa.model.inspect import ModelReport, inspect_model
from ui.draft import SOURCES
from ui.paths import require_within_root, typed_path
from ui.state import draft, field

#: Ids of models on the Hub.
_HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")


def choose_model() -> tuple[str, str | None]:
    """Ask for a model; return its source, "" while none is named, and its revision on the Hub.

    Raises
    ------
    CheckpointError
        If what was typed can be no path.
    """
    asked = draft()
    st.segmented_control(
        "Model",
        list(SOURCES),
        format_func=lambda source: SOURCES[source],
        required=True,
        wrap=True,
        **field("model", asked.model),
    )
    if asked.model == "demo":
        return "demo", None
    if asked.model == "folder":
        st.text_input(
            "Folder of the checkpoint",
            placeholder="folder with config.json and *.safetensors",
            **field("folder", asked.folder),
        )
        if not asked.folder.strip():
            return "", None
        # Absolute, so that a folder that is not there is never taken for the id of a model.
        return str(typed_path(asked.folder, CheckpointError).absolute()), None
    left, right = st.columns([3, 2])
    left.text_input("Id on the Hub", placeholder="org/name", **field("hub", asked.hub))
    right.text_input(
        "Revision",
        placeholder="main",
        help="Branch, tag or commit.",
        **field("revision", asked.revision),
    )
    source = as_meant(asked.hub, CheckpointError) if asked.hub.strip() else ""
    return source, asked.revision.strip() or None


def look_at(source: str, revision: str | None) -> ModelReport | QCQAError:
    """Return what a model is, or why it cannot be searched; loads no weights."""
    try:
        _require_allowed(source)
    except QCQAError as error:
        return error
    is_elsewhere = source != "demo" and not Path(source).is_absolute()
    return _asked_of_the_hub(source, revision) if is_elsewhere else _inspected(source, revision)


@st.cache_resource(ttl=60, max_entries=32, show_spinner="Looking at the model …")
def _asked_of_the_hub(source: str, revision: str | None) -> ModelReport | QCQAError:
    """Return it from the network, which is not asked again at every turn of a knob."""
    return _inspected(source, revision)


def _require_allowed(source: str) -> None:
    """Refuse a folder outside the root, where the source is one and no id of a model."""
    path = user_path(source, CheckpointError)
    # What can be no id is a path, whether or not there is something: that is not told.
    is_path = not _HUB_ID.fullmatch(source) or is_folder(path, CheckpointError)
    if source != "demo" and is_path:
        require_within_root(path, CheckpointError)


def _inspected(source: str, revision: str | None) -> ModelReport | QCQAError:
    try:
        return inspect_model(source, revision=revision)
    except QCQAError as error:
        return error
