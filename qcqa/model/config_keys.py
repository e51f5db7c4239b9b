"""Looking things up in a ``config.json``, whose families call them by different names."""

from collections.abc import Mapping
from typing import Any

Config = Mapping[str, Any]


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
