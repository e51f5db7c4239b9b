"""Where models run, where there is a choice."""

import shutil

import streamlit as st


def choose_device(key: str) -> str:
    """Ask where the models run, on a machine with a GPU; return torch's name of the device."""
    # Torch would know for sure, but takes seconds to load.
    if shutil.which("nvidia-smi") is None:
        return "cpu"
    return str(
        st.segmented_control(
            "Run the models on",
            ["cuda", "cpu"],
            format_func=lambda name: {"cuda": "GPU", "cpu": "CPU"}[name],
            default="cuda",
            required=True,
            key=key,
        )
    )
