"""What each layer alone does to the predictions, token by token: kept, and summed up."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qcqa.errors import EvaluationError, QCQAError
from qcqa.measure.samples import clusters_of
from qcqa.measure.sensitivity import LayerEffect
from qcqa.measure.statistics import clustered_mean
from qcqa.model.tensor_file import write_tensors
from qcqa.reading.file import FileKind
from qcqa.reading.safetensors_file import ArraysFile
from qcqa.text.windows import Window

_FILE = FileKind("scores of layers", EvaluationError, most_bytes=None)


@dataclass(frozen=True, slots=True, eq=False)
class LayerScores:
    """What was measured so far, token by token.

    Parameters
    ----------
    kl, is_same : ndarray, shape (reduced layers, N)
        As a :class:`~qcqa.text.layer_meter.LayerMeter` returns them.
    document, window : ndarray, shape (N,), int32
        Where each token stands.
    seconds : float
        What it took.
    """

    kl: NDArray[np.float32]
    is_same: NDArray[np.bool_]
    document: NDArray[np.int32]
    window: NDArray[np.int32]
    seconds: float

    @classmethod
    def none(cls, num_layers: int) -> "LayerScores":
        """Return the scores of no window."""
        nothing, nowhere = np.zeros((num_layers, 0), np.float32), np.zeros(0, np.int32)
        return cls(nothing, nothing.astype(np.bool_), nowhere, nowhere, 0.0)

    @property
    def num_windows(self) -> int:
        """Windows that are measured."""
        return int(self.window[-1]) + 1 if len(self.window) else 0

    def and_of(
        self,
        batch: Sequence[Window],
        kl: NDArray[np.float32],
        is_same: NDArray[np.bool_],
        seconds: float,
    ) -> "LayerScores":
        """Return these scores and those of another batch."""
        counts = [len(member.query.targets) for member in batch]
        first = self.num_windows
        document = np.repeat([member.document for member in batch], counts)
        window = np.repeat(np.arange(first, first + len(batch)), counts)
        return LayerScores(
            np.concatenate([self.kl, kl], axis=1),
            np.concatenate([self.is_same, is_same], axis=1),
            np.concatenate([self.document, document]).astype(np.int32),
            np.concatenate([self.window, window]).astype(np.int32),
            self.seconds + seconds,
        )

    def effects(self, layers: Sequence[int], num_layers: int) -> tuple[LayerEffect, ...]:
        """Return what comes of it for all layers of the model."""
        clusters = clusters_of(self.document, self.window)
        largest = self.kl[self.kl.mean(axis=1, dtype=np.float64).argmax()].astype(np.float64)
        effects = [LayerEffect(is_measured=False, kl=0.0, same_top=1.0)] * num_layers
        for layer, layer_kl, layer_same in zip(layers, self.kl, self.is_same, strict=True):
            kl = clustered_mean(layer_kl, clusters)
            same = clustered_mean(layer_same, clusters)
            behind = clustered_mean(largest - layer_kl, clusters)
            effects[layer] = LayerEffect(
                is_measured=True,
                kl=kl.value,
                same_top=same.value,
                kl_error=kl.standard_error,
                same_top_error=same.standard_error,
                behind_error=behind.standard_error,
            )
        return tuple(effects)

    def save(self, path: Path, key: str) -> None:
        """Keep the scores, atomically; ``key`` says what they are of."""
        arrays = {name: np.ascontiguousarray(getattr(self, name)) for name in _ARRAYS}
        about = {"key": key, "seconds": f"{self.seconds:.6f}"}
        write_tensors(path, arrays, about)


_ARRAYS: dict[str, tuple[type[np.generic], int]] = {
    "kl": (np.float32, 2),
    "is_same": (np.bool_, 2),
    "document": (np.int32, 1),
    "window": (np.int32, 1),
}


def load_layer_scores(path: Path | None, key: str) -> LayerScores | None:
    """Return the scores that are kept, or None where they are missing, damaged or of others.

    Parameters
    ----------
    path : Path or None
        What :meth:`LayerScores.save` wrote, if anything.
    key : str
        What they have to be of.
    """
    if path is None:
        return None
    file = ArraysFile(path, _FILE)
    try:
        about = file.header.metadata
        if about.get("key") != key:
            return None
        rows, tokens = file.array("kl", np.float32, (None, None)).shape
        sizes = (rows, tokens)
        arrays = {
            name: file.array(name, kind, sizes[-dimensions:])
            for name, (kind, dimensions) in _ARRAYS.items()
        }
        return LayerScores(**arrays, seconds=float(about.get("seconds", "")))
    except (ValueError, QCQAError):
        return None
