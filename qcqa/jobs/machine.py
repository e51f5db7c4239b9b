"""How fast this machine is in half types: measured once, and kept for all that ask."""

import json
import platform
from importlib.metadata import version
from pathlib import Path

from pydantic import TypeAdapter

from qcqa.errors import QCQAError, RunError
from qcqa.files.writing import write_text_atomically
from qcqa.jobs.home import machine_file
from qcqa.model.dtype import ChosenDtype, dtype_to_run, measured_slowdown
from qcqa.reading.file import FileKind
from qcqa.reading.json_file import read_record

#: Abilities of processors in half types, as Linux calls them.
_HALF_FLAGS = ("amx_bf16", "avx512_bf16", "avx512_fp16")

_FILE = FileKind("how fast this machine is", RunError, most_bytes=2**20)
_KNOWN: TypeAdapter[dict[str, float]] = TypeAdapter(dict[str, float])


def dtype_here(asked: str, checkpoint_dtype: str, *, device: str) -> ChosenDtype:
    """Return the type in which models are to run on this machine.

    Parameters
    ----------
    asked, checkpoint_dtype, device
        As in :func:`~qcqa.model.dtype.dtype_to_run`.
    """
    return dtype_to_run(asked, checkpoint_dtype, device=device, slowdown=known_slowdown)


def known_slowdown(dtype: str) -> float:
    """Return what :func:`~qcqa.model.dtype.measured_slowdown` found here, now or earlier."""
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
        return read_record(path, _KNOWN, _FILE)
    except QCQAError:
        return {}


def _processor() -> str:
    """Return what tells processors apart; virtual ones have one name and different abilities."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    lines = dict(line.partition(":")[::2] for line in text.splitlines() if ":" in line)
    fields = {name.strip(): value.strip() for name, value in lines.items()}
    halves = [flag for flag in _HALF_FLAGS if flag in fields.get("flags", "").split()]
    return " ".join([fields.get("model name", platform.machine()), *halves])
