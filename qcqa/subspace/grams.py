"""What the error of any grouping of a layer is told from, in memory and on disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from qcqa.errors import CheckpointError
from qcqa.files import write_bytes_atomically
from qcqa.subspace.free import FreeGram
from qcqa.subspace.gram import Gram
from qcqa.subspace.objective import SubspaceObjective, pair_guide
from qcqa.subspace.planes import PlaneGrams
from qcqa.subspace.tied import TiedGrams
from qcqa.terms import Kind

#: Of which roles' heads each kind of grouping is.
_ROLES: dict[Kind, tuple[str, ...]] = {
    "shared": ("key", "value"),
    "key": ("key",),
    "value": ("value",),
}


@dataclass(frozen=True, slots=True, eq=False)
class SubspaceGrams:
    """The Grams of one layer's keys and values, and their guides.

    Parameters
    ----------
    key, value : sequence of Gram
        Errors add up over them.
    key_guide, value_guide : array, shape (H, H)
        As :func:`~qcqa.subspace.objective.pair_guide` makes them.
    """

    key: Sequence[Gram]
    value: Sequence[Gram]
    key_guide: NDArray[np.float64]
    value_guide: NDArray[np.float64]

    @classmethod
    def of(cls, key: Sequence[Gram], value: Sequence[Gram]) -> "SubspaceGrams":
        """Return Grams with their guides."""
        return cls(key, value, pair_guide(key), pair_guide(value))

    def role(self, role: str) -> Sequence[Gram]:
        """Return the Grams of ``key`` or of ``value``."""
        return self.key if role == "key" else self.value

    def kind(self, kind: Kind) -> tuple[Gram, ...]:
        """Return the Grams of all heads that a grouping of this kind is for."""
        return tuple(gram for role in _ROLES[kind] for gram in self.role(role))

    def objective(self, kind: Kind) -> SubspaceObjective:
        """Return the objective of one kind."""
        guides = {"key": self.key_guide, "value": self.value_guide}
        guide = np.sum([guides[role] for role in _ROLES[kind]], axis=0)
        return SubspaceObjective(partial(self.kind, kind), guide)


def save_subspace_grams(grams: SubspaceGrams, path: Path) -> None:
    """Write one layer's Grams to a safetensors file, atomically, in single precision."""
    tensors: dict[str, NDArray[np.floating]] = {
        "key.guide": grams.key_guide,
        "value.guide": grams.value_guide,
    }
    for role in _ROLES["shared"]:
        for gram in grams.role(role):
            tensors |= {f"{role}.{name}": part for name, part in _parts(gram).items()}
    write_bytes_atomically(
        path, save({name: np.ascontiguousarray(part) for name, part in tensors.items()})
    )


def stored_objective(path: Path, kind: Kind) -> SubspaceObjective:
    """Return the objective of a layer whose Grams :func:`save_subspace_grams` wrote.

    Only its guide is read now; a search's processes read the Grams when a layer's turn comes.

    Raises
    ------
    CheckpointError
        If the file is missing or is not such a file.
    """
    stored = _read(path, [f"{role}.guide" for role in _ROLES[kind]])
    return SubspaceObjective(partial(_load, path, kind), np.sum(list(stored.values()), axis=0))


def _parts(gram: Gram) -> dict[str, NDArray[np.floating]]:
    """Return the arrays that hold a Gram, by name."""
    if isinstance(gram, FreeGram):
        return {"free": gram.gram.astype(np.float32)}
    if isinstance(gram, PlaneGrams):
        parts = (gram.gram.real, gram.gram.imag)
        return {"planes": np.stack(parts).astype(np.float32)}
    if isinstance(gram, TiedGrams):
        return {
            "tied": gram.gram.astype(np.float32),
            "tied.weight": gram.weight.astype(np.float32),
            "tied.has_norm_and_signs": np.array([gram.has_norm, gram.has_signs], np.float32),
        }
    raise AssertionError(f"no format for {type(gram).__name__}")


def _load(path: Path, kind: Kind) -> tuple[Gram, ...]:
    """Return the Grams of one kind from a file."""
    stored = _read(path, None)
    grams: list[Gram] = []
    for role in _ROLES[kind]:
        if (planes := stored.get(f"{role}.planes")) is not None:
            grams.append(PlaneGrams(planes[0] + 1j * planes[1]))
        if (free := stored.get(f"{role}.free")) is not None:
            grams.append(FreeGram(free))
        if (tied := stored.get(f"{role}.tied")) is not None:
            has_norm, has_signs = stored[f"{role}.tied.has_norm_and_signs"].astype(bool).tolist()
            weight = stored[f"{role}.tied.weight"]
            grams.append(TiedGrams(tied, weight, has_norm, has_signs))
    return tuple(grams)


def _read(path: Path, names: Sequence[str] | None) -> dict[str, NDArray[np.floating]]:
    """Return some of a file's tensors, or all of them."""
    try:
        with safe_open(path, framework="numpy") as file:
            wanted = file.keys() if names is None else names
            return {name: file.get_tensor(name) for name in wanted}
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path} is no file of Grams ({error})", remedy="start the search anew"
        ) from error
