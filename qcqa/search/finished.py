"""Finished layers of a search that is not finished, so that a killed one resumes where it was."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcqa.files import write_text_atomically
from qcqa.front import LayerCandidates
from qcqa.search.config import SearchSettings

FloatArray = NDArray[np.float64]

#: Raised when a search changes, so that layers of an older release are searched anew.
_FORMAT = 1


def save_finished(
    folder: Path,
    search: Callable[..., Any],
    gram: FloatArray,
    settings: SearchSettings,
    layer: int,
    candidates: LayerCandidates,
) -> None:
    """Keep one layer's candidates, whose keys and values are grouped alike, in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "of": _fingerprint(search, gram, settings, layer),
        "labels": candidates.key_labels.tolist(),
        "error": candidates.error.tolist(),
    }
    write_text_atomically(_path(folder, layer), json.dumps(content))


def load_finished(
    folder: Path,
    search: Callable[..., Any],
    gram: FloatArray,
    settings: SearchSettings,
    layer: int,
) -> LayerCandidates | None:
    """Return one layer's candidates, or None if this very search has not finished it."""
    try:
        content = json.loads(_path(folder, layer).read_text(encoding="utf-8"))
        if content["of"] != _fingerprint(search, gram, settings, layer):
            return None
        labels = np.array(content["labels"], dtype=np.int64)
        error = np.array(content["error"], dtype=np.float64)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # missing or damaged: it is searched again
    return LayerCandidates.shared(labels, error)


def _path(folder: Path, layer: int) -> Path:
    return folder / f"layer-{layer:04d}.json"


def _fingerprint(
    search: Callable[..., Any], gram: FloatArray, settings: SearchSettings, layer: int
) -> str:
    """Return a hash of all that a layer's result depends on."""
    name = f"{search.__module__}.{search.__qualname__}"
    told = settings.model_dump_json(exclude={"workers"})
    digest = hashlib.sha256(f"{_FORMAT} {name} {layer} {told} ".encode())
    digest.update(np.ascontiguousarray(gram).tobytes())
    return digest.hexdigest()
