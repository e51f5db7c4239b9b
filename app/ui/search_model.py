"""Which model to search: the demo, a folder, or one of the Hub; and what can be said of it."""

from pathlib import Path

import streamlit as st

from qcqa.errors import QCQAError
from qcqa.use_cases.inspect import ModelReport, inspect_model

DEMO, FOLDER, HUB = "Demo model", "Local folder", "Hugging Face Hub"


def choose_model() -> tuple[str, str | None]:
    """Ask for a model; return its source, "" while none is named, and its revision on the Hub."""
    kind = st.segmented_control(
        "Model", [DEMO, FOLDER, HUB], default=DEMO, required=True, wrap=True, key="new_model"
    )
    if kind == DEMO:
        return "demo", None
    if kind == FOLDER:
        folder = st.text_input(
            "Folder of the checkpoint",
            placeholder="folder with config.json and *.safetensors",
            key="new_folder",
        ).strip()
        # Absolute, so that a folder that is not there is never taken for the id of a model.
        return str(Path(folder).expanduser().absolute()) if folder else "", None
    left, right = st.columns([3, 2])
    name = left.text_input("Id on the Hub", placeholder="org/name", key="new_hub_id").strip()
    revision = right.text_input(
        "Revision", placeholder="main", key="new_revision", help="Branch, tag or commit."
    ).strip()
    return name, revision or None


def look_at(source: str, revision: str | None) -> ModelReport | QCQAError:
    """Return what a model is, or why it cannot be searched; loads no weights."""
    is_elsewhere = source != "demo" and not Path(source).exists()
    return _asked_of_the_hub(source, revision) if is_elsewhere else _inspected(source, revision)


@st.cache_resource(ttl=60, max_entries=32, show_spinner="Looking at the model …")
def _asked_of_the_hub(source: str, revision: str | None) -> ModelReport | QCQAError:
    """Return it from the network, which is not asked again at every turn of a knob."""
    return _inspected(source, revision)


def _inspected(source: str, revision: str | None) -> ModelReport | QCQAError:
    try:
        return inspect_model(source, revision=revision)
    except QCQAError as error:
        return error
