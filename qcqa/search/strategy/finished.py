"""Finished slots of a search that is not finished, so that a killed one resumes where it was."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from qcqa.files import write_text_atomically
from qcqa.reduce.candidates import Slot
from qcqa.reduce.groups.objective import Objective
from qcqa.reduce.groups.search.candidates import GroupCandidates
from qcqa.search.strategy.config import SearchSettings

#: Raised when a search changes, so that slots of an older release are searched anew.
_FORMAT = 2


def fingerprint(
    search: Callable[..., Any], objective: Objective, settings: SearchSettings, slot: Slot
) -> str:
    """Return a hash of all that a slot's result depends on.

    An objective is known by its kind, its total and its Gram, which are others for other weights
    or another calibration text.
    """
    names = [f"{thing.__module__}.{thing.__qualname__}" for thing in (search, type(objective))]
    told = settings.model_dump_json(exclude={"workers"})
    digest = hashlib.sha256(f"{_FORMAT} {names} {slot} {objective.total} {told} ".encode())
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
        content = json.loads(_path(folder, slot).read_text(encoding="utf-8"))
        if content["of"] != mark:
            return None
        return GroupCandidates.from_json(slot, content)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # missing or damaged: it is searched again


def _path(folder: Path, slot: Slot) -> Path:
    return folder / f"layer-{slot.layer:04d}-{slot.kind}.json"
