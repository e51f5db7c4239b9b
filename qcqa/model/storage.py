"""Where the files of a model come from: a local folder here, the Hub in its own file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from qcqa.files.user_path import is_plain_file
from qcqa.model.safetensors_file import SafetensorsFile
from qcqa.reading.safetensors_file import StoredTensor


class Storage(Protocol):
    """The files of one model."""

    @property
    def folder(self) -> Path:
        """Folder with the files that are here so far."""

    @property
    def revision(self) -> str | None:
        """Commit on the Hub, where there is one."""

    def find(self, name: str) -> Path | None:
        """Return the path of a file, fetched if need be, or None where the model has none."""

    def header(self, name: str) -> Mapping[str, StoredTensor] | None:
        """Return what a safetensors file holds without fetching all of it, or None."""

    def names(self) -> frozenset[str]:
        """Return the names of all files, for error messages."""


class LocalFolder:
    """A model in a local folder.

    Parameters
    ----------
    folder : Path
        Holds ``config.json`` and the weights.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.revision: str | None = None

    def find(self, name: str) -> Path | None:
        """Return the path of a file, or None where there is none."""
        path = self.folder / name
        return path if is_plain_file(path) else None

    def header(self, name: str) -> Mapping[str, StoredTensor] | None:
        """Return the tensors of a safetensors file by name, or None where there is none."""
        path = self.find(name)
        return SafetensorsFile(path).tensors if path else None

    def names(self) -> frozenset[str]:
        """Return the names of all files in the folder."""
        return frozenset(path.name for path in self.folder.iterdir() if path.is_file())


def own_file(storage: Storage, name: str) -> Path | None:
    """Return the path of a file that lies in the model's folder, links followed, or None.

    Weights may be anywhere. A file that is copied as it is must be the model's own, lest a link
    in a folder that somebody else made brings in one of the user's.
    """
    path = storage.find(name)
    if path is None:
        return None
    inside = [storage.folder.resolve()]
    # In the Hub's cache <repository>/snapshots/<commit> holds links into <repository>/blobs.
    repository = inside[0].parent.parent
    if inside[0].parent.name == "snapshots" and repository.name.startswith("models--"):
        inside.append(repository / "blobs")
    return path if any(path.resolve().is_relative_to(folder) for folder in inside) else None
