"""What came of a conversion: where the checkpoint is, how large, and the cache that it holds."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from qcqa.errors import RunError
from qcqa.files import write_text_atomically

_FORMAT = "qcqa-converted-1"

#: Room for what is beside the weights: config, plan, card and code.
SMALL_FILES_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Converted:
    """A checkpoint that was converted and opened once.

    Parameters
    ----------
    folder : str
        Absolute path of the checkpoint.
    source_bytes, weight_bytes : int
        Of all weights, before and after.
    promised_bytes_per_token : int
        Of the KV cache, by the plan.
    measured_bytes_per_token : float or None
        Of the live KV cache of the opened checkpoint; None where there was not enough memory to
        open it.
    """

    folder: str
    source_bytes: int
    weight_bytes: int
    promised_bytes_per_token: int
    measured_bytes_per_token: float | None


_CONVERTED = TypeAdapter(Converted)


def save_converted(converted: Converted, path: Path) -> None:
    """Write what came of a conversion, atomically."""
    content = {"format": _FORMAT, **asdict(converted)}
    write_text_atomically(path, json.dumps(content, indent=2) + "\n")


def load_converted(path: Path) -> Converted:
    """Read what :func:`save_converted` wrote.

    Raises
    ------
    RunError
        If the file is missing, damaged or of another format.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] == _FORMAT:
            return _CONVERTED.validate_python(content)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} cannot be read ({error})") from error
    raise RunError(f"{path} has format {content['format']!r}", expected=_FORMAT)
