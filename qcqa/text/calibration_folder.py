"""A calibration as files: the tokens that were read, and what every layer makes of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import isqrt
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qcqa.errors import CalibrationError
from qcqa.model.tensor_file import write_tensors
from qcqa.reading.file import FileKind
from qcqa.reading.safetensors_file import ArraysFile

IntArray = NDArray[np.int32]

_FORMAT = "qcqa-calibration-1"
_TOKENS = "tokens.safetensors"

_FILE = FileKind("a calibration", CalibrationError, "calibrate the model again", most_bytes=None)


def digest_of(windows: Sequence[IntArray]) -> str:
    """Return a hash of windows of tokens."""
    digest = sha256()
    for window in windows:
        digest.update(np.array([len(window), *window], dtype="<i8").tobytes())
    return digest.hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class CalibrationFolder:
    """A folder that holds a calibration, or the part of it that is there so far.

    Layers are files of their own, so that one at a time is in memory. A second moment is
    symmetric: its upper triangle is kept, in float64. Grams for searches lie beside it; see
    :class:`~qcqa.reduce.groups.subspace.grams.SubspaceGrams`.

    Parameters
    ----------
    path : Path
        The folder; made when something is saved.
    """

    path: Path

    def save_windows(self, windows: Sequence[IntArray], fingerprint: str) -> None:
        """Keep the tokens, and of which model they are; what rests on others goes away.

        Parameters
        ----------
        windows : sequence of arrays, shape (T,)
            Token ids.
        fingerprint : str
            Of the model whose moments will lie beside them.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        for old in self.path.glob("*.safetensors"):
            old.unlink()
        arrays: dict[str, NDArray[np.integer]] = {
            "token_ids": np.concatenate(windows),
            "lengths": np.array([len(window) for window in windows], dtype=np.int64),
        }
        about = {"format": _FORMAT, "fingerprint": fingerprint}
        write_tensors(self.path / _TOKENS, arrays, {"qcqa": json.dumps(about)})

    def windows(self) -> tuple[IntArray, ...]:
        """Return the tokens.

        Raises
        ------
        CalibrationError
            If they are missing or damaged.
        """
        return self._read()[0]

    def is_of(self, windows: Sequence[IntArray], fingerprint: str) -> bool:
        """Return whether the folder's tokens are these, of this model."""
        try:
            kept, model = self._read()
        except CalibrationError:
            return False
        return model == fingerprint and digest_of(kept) == digest_of(windows)

    def mark(self) -> str:
        """Return a hash of the tokens and of which model they are: of all that rests on them.

        Raises
        ------
        CalibrationError
            If the tokens are missing or damaged.
        """
        windows, fingerprint = self._read()
        return f"{fingerprint}-{digest_of(windows)}"

    def grams(self, layer: int) -> Path:
        """Return the file of a layer's Grams, which may not be there."""
        return self.path / f"grams-{layer:03d}.safetensors"

    def save_moment(self, layer: int, moment: Tensor) -> None:
        """Keep a layer's second moment, (d, d) or (d + 1, d + 1)."""
        rows, columns = np.triu_indices(len(moment))
        triangle = moment.numpy()[rows, columns]
        write_tensors(self._layer(layer), {"upper_triangle": triangle})

    def has_moment(self, layer: int) -> bool:
        """Return whether a layer's second moment is there."""
        return self._layer(layer).exists()

    def moment(self, layer: int) -> Tensor:
        """Return a layer's second moment, float64.

        Raises
        ------
        CalibrationError
            If it is missing or damaged.
        """
        path = self._layer(layer)
        triangle = ArraysFile(path, _FILE).array("upper_triangle", np.floating, (None,))
        size = (isqrt(8 * len(triangle) + 1) - 1) // 2
        if size * (size + 1) // 2 != len(triangle) or not np.isfinite(triangle).all():
            raise _FILE.damaged(path, f"its {len(triangle)} numbers are no triangle")
        moment = np.zeros((size, size))
        moment[np.triu_indices(size)] = triangle
        return torch.from_numpy(moment + np.triu(moment, 1).T)

    def _layer(self, layer: int) -> Path:
        return self.path / f"moment-{layer:03d}.safetensors"

    def _read(self) -> tuple[tuple[IntArray, ...], str]:
        file = ArraysFile(self.path / _TOKENS, _FILE)
        about = file.about()
        if about.get("format") != _FORMAT:
            raise _FILE.damaged(file.path, f"its format is not {_FORMAT}")
        token_ids = file.array("token_ids", np.signedinteger, (None,)).astype(np.int32)
        lengths = file.array("lengths", np.signedinteger, (None,))
        if not len(lengths) or lengths.min() < 1 or lengths.sum() != len(token_ids):
            raise _FILE.damaged(file.path, f"its {len(token_ids)} tokens are not cut into windows")
        if token_ids.min() < 0:
            raise _FILE.damaged(file.path, f"it holds the token {token_ids.min()}")
        pieces = np.split(token_ids, np.cumsum(lengths)[:-1])
        return tuple(pieces), str(about.get("fingerprint"))
