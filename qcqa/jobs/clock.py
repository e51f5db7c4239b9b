"""Times as runs write them."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator


def _require_time(text: str) -> str:
    """Return a time as it is; raises a ValueError where it is none, or without its zone."""
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return text


#: ISO 8601 with a time zone, as :func:`utc_now` writes it.
Time = Annotated[str, AfterValidator(_require_time)]


def utc_now() -> str:
    """Return the time, ISO 8601, UTC, to the millisecond: it says what came first."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def seconds_since(time: str) -> float:
    """Return the seconds that have passed since ``time``, as :func:`utc_now` writes it."""
    return (datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds()
