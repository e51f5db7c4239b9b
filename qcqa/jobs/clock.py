"""Times as runs write them."""

from datetime import UTC, datetime


def utc_now() -> str:
    """Return the time, ISO 8601, UTC, to the millisecond: it says what came first."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def seconds_since(time: str) -> float:
    """Return the seconds that have passed since ``time``, as :func:`utc_now` writes it."""
    return (datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds()
