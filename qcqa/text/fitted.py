"""Merged attention that rests on a calibration text, kept so that no plan is refitted twice."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import save_file

from qcqa.errors import CalibrationError, QCQAError
from qcqa.files.writing import replacing
from qcqa.plan.plan import Plan
from qcqa.reading.file import FileKind
from qcqa.reading.safetensors_file import ArraysFile

#: Of the files' names; another one whenever merging or refitting comes to other weights.
_VERSION = 2

#: All files together, at most; attention that is larger than that is not kept at all.
_MOST_BYTES = 4 * 2**30

_FILE = FileKind("fitted attention", CalibrationError, most_bytes=None)

#: For each layer its weights by parameter.
Layers = Sequence[Mapping[str, NDArray[np.float32]]]


@dataclass(frozen=True, slots=True)
class FittedFolder:
    """A folder of attention weights, a file for each plan; the least recently used go first.

    Parameters
    ----------
    path : Path
        The folder; made when there is something to keep.
    included : Path, optional
        Another one, which came with the package and is only read.
    """

    path: Path
    included: Path | None = None

    def holds(self, plan: Plan) -> bool:
        """Return whether a plan's weights are there."""
        return any((folder / _name(plan)).exists() for folder in self._folders)

    def load(self, plan: Plan) -> Layers | None:
        """Return a plan's weights, or None if they are not there or damaged."""
        for folder in self._folders:
            file = folder / _name(plan)
            layers = _load(file, num_layers=len(plan.layers))
            if layers is not None:
                if folder == self.path:
                    with suppress(OSError):
                        os.utime(file)
                return layers
        return None

    def save(self, plan: Plan, layers: Layers) -> None:
        """Keep a plan's weights, atomically, where there is room for them.

        A folder that cannot be written is passed over: the weights can be made again.
        """
        tensors = {
            f"{number}/{name}": tensor
            for number, layer in enumerate(layers)
            for name, tensor in layer.items()
        }
        size = sum(tensor.nbytes for tensor in tensors.values())
        if size > _MOST_BYTES:
            return
        with suppress(OSError, SafetensorError):
            self.path.mkdir(parents=True, exist_ok=True)
            self._make_room(size)
            with replacing(self.path / _name(plan)) as new:
                save_file(tensors, new)

    def _make_room(self, size: int) -> None:
        files = sorted(
            ((file.stat(), file) for file in self.path.glob("*.safetensors")),
            key=lambda pair: pair[0].st_mtime_ns,
        )
        held = size + sum(stat.st_size for stat, _ in files)
        for stat, file in files:
            if held <= _MOST_BYTES:
                break
            file.unlink(missing_ok=True)
            held -= stat.st_size

    @property
    def _folders(self) -> tuple[Path, ...]:
        return (self.path,) if self.included is None else (self.path, self.included)


def needs_text(plan: Plan, fitted: FittedFolder | None) -> bool:
    """Return whether a plan rests on a text that has to be read, as its weights are not kept."""
    return plan.calibration is not None and (fitted is None or not fitted.holds(plan))


def _name(plan: Plan) -> str:
    return f"{plan.digest}-{_VERSION}.safetensors"


def _load(file: Path, *, num_layers: int) -> Layers | None:
    layers: list[dict[str, NDArray[np.float32]]] = [{} for _ in range(num_layers)]
    kept = ArraysFile(file, _FILE)
    try:
        for key in kept.header.tensors:
            layer, _, name = key.partition("/")
            layers[int(layer)][name] = kept.array(key, np.floating)
    except (QCQAError, ValueError, IndexError):
        return None
    return layers
