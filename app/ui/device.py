"""Where models run, where there is a choice."""

import shutil

import streamlit as st


def choose_device(key: str) -> str:
    """Ask where the models run, on a machine with a GPU; return ``auto`` or torch's name of it."""
    if not _has_gpu():
        return "auto"
    return str(
        st.segmented_control(
            "Run the models on",
            ["auto", "cuda", "cpu"],
            format_func=lambda name: {"auto": "Automatic", "cuda": "GPU", "cpu": "CPU"}[name],
            default="auto",
            required=True,
            help="Automatic takes the GPU where the installed torch can use it.",
            key=key,
        )
    )


def probable_device(device: str) -> str:
    """Return which device a choice will probably be, without asking torch."""
    return {"auto": "cuda" if _has_gpu() else "cpu"}.get(device, device)


def _has_gpu() -> bool:
    # Torch would know for sure, but takes seconds to load: the worker asks it.
    return shutil.which("nvidia-smi") is not None
