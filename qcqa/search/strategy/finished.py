"""Finished slots of a search that is not finished, so that a killed one resumes where it was."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, TypeAdapter

from qcqa.errors import QCQAError, RunError
from qcqa.files import write_text_atomically
from qcqa.options import Options
from qcqa.reading.file import FileKind
from qcqa.reading.json_file import read_record
from qcqa.reduce.groups.objective import Objective
from qcqa.search.strategy.slots import GroupCandidates, Slot

#: Raised when a search changes, so that slots of an older release are searched anew.
_FORMAT = 2

_FILE = FileKind("the candidates of a slot", RunError, most_bytes=2**28)


class _Finished(BaseModel):
    """What the file of a slot holds, and by which :func:`fingerprint` it is known."""

    model_config = ConfigDict(frozen=True)

    of: str
    labels: list[list[int]]
    error: list[float]
    total: float | None


_FINISHED = TypeAdapter(_Finished)


def fingerprint(
    search: Callable[..., Any], objective: Objective, options: Options, slot: Slot, seed: int
) -> str:
    """Return a hash of all that a slot's result depends on.

    An objective is known by its kind, its total and its Gram, which are others for other weights
    or another calibration text.
    """
    names = [f"{thing.__module__}.{thing.__qualname__}" for thing in (search, type(objective))]
    told = f"{options.model_dump_json()} {seed}"
    digest = hashlib.sha256(f"{_FORMAT} {names} {slot} {objective.total} {told} ".encode())
    digest.update(np.ascontiguousarray(objective.gram).tobytes())
    return digest.hexdigest()


def save_finished(folder: Path, candidates: GroupCandidates, mark: str) -> None:
    """Keep one slot's candidates in ``folder``, marked by their :func:`fingerprint`."""
    folder.mkdir(parents=True, exist_ok=True)
    content = _Finished(
        of=mark,
        labels=candidates.labels.tolist(),
        error=candidates.error.tolist(),
        total=candidates.total,
    )
    write_text_atomically(_path(folder, candidates.slot), json.dumps(content.model_dump()))


def load_finished(folder: Path, slot: Slot, mark: str) -> GroupCandidates | None:
    """Return one slot's candidates, or None if the search of this mark has not finished it."""
    try:
        kept = read_record(_path(folder, slot), _FINISHED, _FILE)
    except QCQAError:
        return None  # missing or damaged: it is searched again
    if kept.of != mark:
        return None
    labels, error = np.array(kept.labels, dtype=np.int64), np.array(kept.error, dtype=np.float64)
    return GroupCandidates(slot, labels, error, kept.total)


def _path(folder: Path, slot: Slot) -> Path:
    return folder / f"layer-{slot.layer:04d}-{slot.kind}.json"
