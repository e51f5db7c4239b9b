"""What the error of any grouping of a layer is told from, in memory and on disk."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qcqa.errors import CheckpointError, QCQAError
from qcqa.model.tensor_file import write_tensors
from qcqa.reading.file import FileKind
from qcqa.reading.safetensors_file import ArraysFile
from qcqa.reduce.choice import SiteKind
from qcqa.reduce.groups.subspace.free import FreeGram
from qcqa.reduce.groups.subspace.gram import Gram, bound_of_spectrum
from qcqa.reduce.groups.subspace.objective import SubspaceObjective, errors_of_blocks, pair_guide
from qcqa.reduce.groups.subspace.planes import PlaneGrams
from qcqa.reduce.groups.subspace.spectra import spectra_of
from qcqa.reduce.groups.subspace.tied import TiedGrams
from qcqa.reduce.spectra import SiteSpectra, Spectrum
from qcqa.reduce.terms import Kind

#: Of which roles' heads each kind of grouping is.
_ROLES: dict[Kind, tuple[str, ...]] = {
    "shared": ("key", "value"),
    "key": ("key",),
    "value": ("value",),
}
#: What of :class:`RoleGrams` adds up over roles, in the order of :class:`SubspaceObjective`.
_SUMS = ("guide", "bound", "block_errors")
#: Arrays of :class:`~qcqa.reduce.spectra.SiteSpectra` in a file.
_SPECTRA = ("joint.planes", "joint.free", "by_head.planes", "by_head.free")
#: Raised when Grams change, so that those of an older release are computed anew.
_FORMAT = "qcqa-subspace-grams-3"

_FILE = FileKind("a file of Grams", CheckpointError, "start the search anew", most_bytes=None)


@dataclass(frozen=True, slots=True, eq=False)
class RoleGrams:
    """The Grams of one layer's keys, or of its values, and what is told from all of them.

    Parameters
    ----------
    grams : sequence of Gram
        Errors add up over them.
    guide : array, shape (H, H)
        As :func:`~qcqa.reduce.groups.subspace.objective.pair_guide` makes it.
    bound : array, shape (H,)
        What no grouping of ``k`` groups is below, at ``k - 1``.
    block_errors : array
        As :func:`~qcqa.reduce.groups.subspace.objective.errors_of_blocks` returns them.
    spectra : SiteSpectra or None
        As :func:`~qcqa.reduce.groups.subspace.spectra.spectra_of` returns them.
    """

    grams: Sequence[Gram]
    guide: NDArray[np.floating]
    bound: NDArray[np.floating]
    block_errors: NDArray[np.floating]
    spectra: SiteSpectra | None

    @classmethod
    def of(cls, grams: Sequence[Gram]) -> "RoleGrams":
        """Return Grams with what is told from all of them."""
        eigenvalues = [gram.spectrum() for gram in grams]
        bounds = [bound_of_spectrum(values, grams[0].num_heads) for values in eigenvalues]
        spectra = spectra_of(grams, eigenvalues)
        return cls(
            grams, pair_guide(grams), np.sum(bounds, axis=0), errors_of_blocks(grams), spectra
        )


@dataclass(frozen=True, slots=True, eq=False)
class SubspaceGrams:
    """The Grams of one layer.

    Parameters
    ----------
    key, value : RoleGrams
        Of its keys and of its values.
    """

    key: RoleGrams
    value: RoleGrams

    def kind(self, kind: Kind) -> tuple[Gram, ...]:
        """Return the Grams of all heads that a grouping of this kind is for."""
        return tuple(gram for role in _ROLES[kind] for gram in self._role(role).grams)

    def objective(self, kind: Kind) -> SubspaceObjective:
        """Return the objective of one kind."""
        return _objective(partial(self.kind, kind), self._tensors(), kind)

    def save(self, path: Path, *, mark: str) -> None:
        """Write the Grams to a safetensors file, atomically, in single precision.

        Parameters
        ----------
        path : Path
            Of the file.
        mark : str
            Tells of which model and text they are; :func:`are_grams_of` asks for it.
        """
        tensors = self._tensors()
        for role in _ROLES["shared"]:
            for gram in self._role(role).grams:
                tensors |= {f"{role}.{name}": part for name, part in _parts(gram).items()}
            if (spectra := self._role(role).spectra) is not None:
                tensors |= {f"{role}.{name}": part for name, part in _of_spectra(spectra).items()}
        whole = {name: np.ascontiguousarray(part) for name, part in tensors.items()}
        write_tensors(path, whole, _metadata(mark))

    def _role(self, role: str) -> RoleGrams:
        return self.key if role == "key" else self.value

    def _tensors(self) -> dict[str, NDArray[np.floating]]:
        """Return what is told from all Grams of a role, by the names of a file."""
        tensors: dict[str, NDArray[np.floating]] = {}
        for role in _ROLES["shared"]:
            of_role = self._role(role)
            tensors |= {f"{role}.{name}": getattr(of_role, name) for name in _SUMS}
        return tensors


def are_grams_of(path: Path, mark: str) -> bool:
    """Return whether a file holds Grams that this release wrote with this mark."""
    try:
        return ArraysFile(path, _FILE).header.metadata == _metadata(mark)
    except QCQAError:
        return False


def stored_objective(path: Path, kind: Kind) -> SubspaceObjective:
    """Return the objective of a layer whose Grams :meth:`SubspaceGrams.save` wrote.

    Only what is told from all Grams is read now; a search's processes read the Grams themselves
    when a layer's turn comes.

    Raises
    ------
    CheckpointError
        If the file is missing or is not such a file.
    """
    names = [f"{role}.{name}" for role in _ROLES[kind] for name in _SUMS]
    return _objective(partial(_load, path, kind), _read(path, names), kind)


def stored_spectra(path: Path, role: SiteKind) -> SiteSpectra | None:
    """Return the spectra of a layer's keys or values, whose Grams :meth:`SubspaceGrams.save` wrote.

    None where there are none.

    Raises
    ------
    CheckpointError
        If the file is missing or is not such a file.
    """
    names = [f"{role}.{name}" for name in _SPECTRA]
    if not ArraysFile(path, _FILE).header.tensors.keys() >= set(names):
        return None
    parts = [_read(path, [name])[name].astype(np.float64) for name in names]
    return SiteSpectra(Spectrum(*parts[:2]), Spectrum(*parts[2:]))


def _of_spectra(spectra: SiteSpectra) -> dict[str, NDArray[np.floating]]:
    """Return the arrays of spectra by the names of a file."""
    parts = [part for s in (spectra.joint, spectra.by_head) for part in (s.planes, s.free)]
    return dict(zip(_SPECTRA, parts, strict=True))


def _objective(
    load: Callable[[], Sequence[Gram]], tensors: Mapping[str, NDArray[np.floating]], kind: Kind
) -> SubspaceObjective:
    sums = [sum(tensors[f"{role}.{name}"] for role in _ROLES[kind]) for name in _SUMS]
    return SubspaceObjective(load, *map(np.asarray, sums))


def _metadata(mark: str) -> dict[str, str]:
    return {"format": _FORMAT, "of": mark}


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
    file = ArraysFile(path, _FILE)
    wanted = file.header.tensors if names is None else names
    return {name: file.array(name, np.floating) for name in wanted}
