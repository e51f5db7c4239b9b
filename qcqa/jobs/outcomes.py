"""What came of a conversion, or of a measurement of layers, as a file in its directory."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter

from qcqa.conversion.converted import Converted
from qcqa.errors import RunError
from qcqa.files.writing import write_text_atomically
from qcqa.measure.sensitivity import LayerSensitivity
from qcqa.reading.file import FileKind
from qcqa.reading.json_file import as_record, read_object

_FILE = FileKind("what came of a job", RunError)
_FORMATS = {Converted: "qcqa-converted-1", LayerSensitivity: "qcqa-sensitivity-1"}

_Outcome = TypeVar("_Outcome", Converted, LayerSensitivity)


def save_outcome(outcome: Converted | LayerSensitivity, path: Path) -> None:
    """Write what came of a job, atomically."""
    content = {"format": _FORMATS[type(outcome)], **asdict(outcome)}
    write_text_atomically(path, json.dumps(content, indent=2) + "\n")


def load_outcome(kind: type[_Outcome], path: Path) -> _Outcome:
    """Read what :func:`save_outcome` wrote.

    Raises
    ------
    RunError
        If the file is missing, damaged or of another format.
    """
    content = read_object(path, _FILE)
    if content.get("format") != _FORMATS[kind]:
        raise _FILE.damaged(
            path, f"its format is {content.get('format')!r}", expected=_FORMATS[kind]
        )
    return as_record(content, TypeAdapter(kind), path, _FILE)
