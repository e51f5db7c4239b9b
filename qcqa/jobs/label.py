"""What people call a run, and what they noted of it: ``label.json``, which may change at any time.

It is a file of its own because ``config.json`` says what was asked and never changes.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

from qcqa.errors import RunError
from qcqa.files.writing import write_text_atomically
from qcqa.reading.file import FileKind
from qcqa.reading.json_file import read_record

_FILE = "label.json"
_KIND = FileKind("the label of a run", RunError, most_bytes=2**20)

MOST_OF_NAME = 200
MOST_OF_NOTE = 10_000


class Label(BaseModel):
    """Name and note of a run.

    Parameters
    ----------
    name : str or None
        Title for people; None for the one that the run was made with.
    note : str
        Any text.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["qcqa-run-label"] = "qcqa-run-label"
    version: Literal[1] = 1
    name: str | None = None
    note: str = ""


_LABEL = TypeAdapter(Label)


def read_label(folder: Path) -> Label:
    """Return the label in a run's directory.

    Where there is none, or none that can be read, it is an empty one: a name is never what keeps a
    result from being opened.
    """
    try:
        return read_record(folder / _FILE, _LABEL, _KIND)
    except RunError:
        return Label()


def write_label(folder: Path, label: Label) -> None:
    """Replace the label in a run's directory.

    Raises
    ------
    RunError
        If the directory cannot be written.
    """
    try:
        write_text_atomically(folder / _FILE, label.model_dump_json(indent=2) + "\n")
    except OSError as error:
        raise RunError(f"cannot write to {folder} ({error.strerror})") from error


def checked_name(text: str) -> str:
    """Return a name on one line.

    Raises
    ------
    RunError
        If nothing is left of it, or it is too long.
    """
    name = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if not name:
        raise RunError("the name is empty", expected="at least one visible character")
    if len(name) > MOST_OF_NAME:
        raise RunError(
            f"the name has {len(name)} characters", expected=f"at most {MOST_OF_NAME} characters"
        )
    return name


def checked_note(text: str) -> str:
    """Return a note without blanks around it.

    Raises
    ------
    RunError
        If it is too long.
    """
    note = text.strip()
    if len(note) > MOST_OF_NOTE:
        raise RunError(
            f"the note has {len(note)} characters", expected=f"at most {MOST_OF_NOTE} characters"
        )
    return note
