"""Looking things up in a ``config.json``, whose families call them by different names."""

from collections.abc import Mapping
from typing import Any

from qcqa.errors import CheckpointError
from qcqa.reading.file import FileKind

Config = Mapping[str, Any]

#: transformers writes numbers without end where a model has no limit of some kind.
CONFIG_FILE = FileKind(
    "the config.json of a model",
    CheckpointError,
    "download the file again",
    takes_infinity=True,
)


def first_of(config: Config, keys: tuple[str, ...]) -> Any:
    """Return the first of some dotted keys that is there and not null."""
    for key in keys:
        value: Any = config
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None:
            return value
    return None


def nested(config: Config, key: str) -> Config:
    """Return the mapping that a key holds; an empty one where it holds none."""
    value = config.get(key)
    return value if isinstance(value, Mapping) else {}
