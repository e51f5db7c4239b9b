"""Finished slots of a search that is not finished, so that a killed one resumes where it was."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from qcqa.errors import QCQAError, RunError
from qcqa.files.writing import write_text_atomically
from qcqa.options import Options
from qcqa.reading.file import FileKind
from qcqa.reading.json_file import read_object
from qcqa.reduce.candidates import Slot
from qcqa.reduce.groups.objective import Objective
from qcqa.reduce.groups.search.candidates import GroupCandidates

#: Raised when a search changes, so that slots of an older release are searched anew.
_FORMAT = 2

_FILE = FileKind("the candidates of a slot", RunError, most_bytes=2**28)


def fingerprint(
    search: Callable[..., Any], objective: Objective, options: Options, slot: Slot, seed: int
) -> str:
    """Return a hash of all that a slot's result depends on.

    An objective is known by its kind, its total and its Gram, which are others for other weights
    or another calibration text.
    """
    names = [f"{thing.__module__}.{thing.__qualname__}" for thing in (search, type(objective))]
    setup = f"{options.model_dump_json()} {seed}"
    digest = hashlib.sha256(f"{_FORMAT} {names} {slot} {objective.total} {setup} ".encode())
    digest.update(np.ascontiguousarray(objective.gram).tobytes())
    return digest.hexdigest()


def save_finished(folder: Path, candidates: GroupCandidates, mark: str) -> None:
    """Keep one slot's candidates in ``folder``, marked by their :func:`fingerprint`."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"of": mark, **candidates.to_json()}
    write_text_atomically(_path(folder, candidates.slot), json.dumps(content))


def load_finished(folder: Path, slot: Slot, mark: str) -> GroupCandidates | None:
    """Return one slot's candidates, or None if the search of this mark has not finished it."""
    try:
        kept = read_object(_path(folder, slot), _FILE)
        return GroupCandidates.from_json(slot, kept) if kept.get("of") == mark else None
    except (QCQAError, ValueError, KeyError, TypeError):
        return None  # missing or damaged: it is searched again


def _path(folder: Path, slot: Slot) -> Path:
    return folder / f"layer-{slot.layer:04d}-{slot.kind}.json"
