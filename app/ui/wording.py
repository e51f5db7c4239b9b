"""Phrases that several pieces of the dashboard share."""

import re
from datetime import datetime


def when(time: str) -> str:
    """Return an ISO 8601 time as people write it; anything else as it is."""
    try:
        return datetime.fromisoformat(time).strftime("%-d %b %Y, %H:%M:%S UTC")
    except ValueError:
        return time


def plain(text: str) -> str:
    """Return text for Markdown that shows as it is, whatever a person has typed."""
    return re.sub(r"([\\`*_{}\[\]()#+.!|<>~$:&-])", r"\\\1", text)
