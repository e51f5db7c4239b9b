"""What a run's workers said on the way: ``events.jsonl``, a line each."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qcqa.errors import RunError
from qcqa.jobs.clock import Time
from qcqa.model.spec import MOST_HEADS
from qcqa.reading.file import FileKind
from qcqa.reading.json_file import whole_lines

_FILE = FileKind("the events of a run", RunError, most_bytes=2**28, takes_infinity=True)


class _Event(BaseModel):
    """What every reader of events may rely on; there may be more."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    time: Time
    event: str
    stage: str = ""
    step: int = Field(default=0, ge=0)
    total: int = Field(default=0, ge=0)
    layer: int = Field(default=0, ge=0, lt=MOST_HEADS)
    method: str = ""
    hypervolume: float = 0.0
    generated: dict[str, Any] = {}
    versions: dict[str, str] = {}


def read_events(path: Path) -> list[dict[str, Any]]:
    """Return the events of a file, oldest first; none where there is no file.

    A line that is none is left: it is being written, or whoever wrote it was killed.

    Raises
    ------
    RunError
        If the file cannot be read.
    """
    return [row for row in whole_lines(path, _FILE) if _is_event(row)] if path.exists() else []


def _is_event(row: Any) -> bool:
    try:
        _Event.model_validate(row)
    except ValidationError:
        return False
    return True
