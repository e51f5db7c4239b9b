"""Where models run, where there is a choice."""

import shutil

import streamlit as st

from qcqa.charts.common.markup import plain
from qcqa.jobs.machine import dtype_here
from qcqa.model.dtype import AUTO_DTYPE, DTYPES, ChosenDtype


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


def choose_dtype(checkpoint_dtype: str, key: str, *, device: str) -> str:
    """Ask in which type the models run, and say which the automatic one is and why.

    Parameters
    ----------
    checkpoint_dtype : str
        The checkpoint's.
    key : str
        Of the widget.
    device : str
        What :func:`choose_device` returned.
    """
    auto = probable_dtype(AUTO_DTYPE, checkpoint_dtype, device=device)
    return str(
        st.selectbox(
            "Run the models in",
            DTYPES,
            format_func=lambda name: f"Automatic: {auto.name}" if name == AUTO_DTYPE else name,
            help=f"Automatic is {plain(f'{auto.name}: {auto.why}')}. "
            "Figures of different types are not compared with each other.",
            width=220,
            key=key,
        )
    )


def probable_dtype(dtype: str, checkpoint_dtype: str, *, device: str) -> ChosenDtype:
    """Return the type that a choice will be on the device that it will probably be."""
    # It is timed once on every machine, which loads torch.
    with st.spinner("Timing this processor …"):
        return dtype_here(dtype, checkpoint_dtype, device=probable_device(device))


def probable_device(device: str) -> str:
    """Return which device a choice will probably be, without asking torch."""
    return {"auto": "cuda" if _has_gpu() else "cpu"}.get(device, device)


def _has_gpu() -> bool:
    # Torch would know for sure, but takes seconds to load: the worker asks it.
    return shutil.which("nvidia-smi") is not None
