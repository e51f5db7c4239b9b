"""Phrases that several pieces of the dashboard share."""

from datetime import datetime


def when(time: str) -> str:
    """Return an ISO 8601 time as people write it; a dash for anything else."""
    try:
        return datetime.fromisoformat(time).strftime("%-d %b %Y, %H:%M:%S UTC")
    except ValueError:
        return "\N{EM DASH}"
