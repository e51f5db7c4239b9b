"""What came of a conversion, or of a measurement of layers, as a file in its directory."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter

from qcqa.conversion.converted import Converted
from qcqa.errors import EvaluationError, RunError
from qcqa.files import write_text_atomically
from qcqa.measure.sensitivity import LayerSensitivity

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
    wanted = _FORMATS[kind]
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] == wanted:
            return TypeAdapter(kind).validate_python(content)
    except (OSError, ValueError, KeyError, TypeError, EvaluationError) as error:
        raise RunError(f"{path} cannot be read ({error})") from error
    raise RunError(f"{path} has format {content['format']!r}", expected=wanted)
