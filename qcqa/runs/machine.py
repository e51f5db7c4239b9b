"""How fast this machine is in half types: measured once, and kept for all that ask."""

import json
import platform
from importlib.metadata import version
from pathlib import Path

from pydantic import TypeAdapter

from qcqa.files import write_text_atomically
from qcqa.runs.home import machine_file
from qcqa.use_cases.dtype import ChosenDtype, dtype_to_run, measured_slowdown

_KNOWN: TypeAdapter[dict[str, float]] = TypeAdapter(dict[str, float])


def dtype_here(asked: str, own: str, *, device: str) -> ChosenDtype:
    """Return the type in which models are to run on this machine.

    Parameters
    ----------
    asked, own, device
        As in :func:`~qcqa.use_cases.dtype.dtype_to_run`.
    """
    return dtype_to_run(asked, own, device=device, slowdown=known_slowdown)


def known_slowdown(dtype: str) -> float:
    """Return what :func:`~qcqa.use_cases.dtype.measured_slowdown` found here, now or earlier."""
    path = machine_file()
    name = f"{_processor()}, torch {version('torch')}, {dtype}"
    known = _read(path)
    if name in known:
        return known[name]
    known = {**known, name: round(measured_slowdown(dtype), 3)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomically(path, json.dumps(known, indent=2) + "\n")
    except OSError:
        # It is measured again the next time.
        pass
    return known[name]


def _read(path: Path) -> dict[str, float]:
    try:
        return _KNOWN.validate_json(path.read_bytes())
    except (OSError, ValueError):
        return {}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )
