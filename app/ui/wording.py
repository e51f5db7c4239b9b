"""Phrases that several pieces of the dashboard share."""

import re
from datetime import datetime

from qcqa.plan import GroupingPlan
from qcqa.terms import Merge

#: How merged heads are computed, for people.
MERGES: dict[Merge, str] = {
    "mean": "mean",
    "mean-norm": "mean, rescaled",
    "aligned": "mean of rotated heads",
    "svd": "subspaces",
}


def merge_text(plan: GroupingPlan) -> str:
    """Return how the heads of a plan's groups become one."""
    return MERGES[plan.merge] + (", refitted on calibration text" if plan.refit else "")


def when(time: str) -> str:
    """Return an ISO 8601 time as people write it; anything else as it is."""
    try:
        return datetime.fromisoformat(time).strftime("%-d %b %Y, %H:%M:%S UTC")
    except ValueError:
        return time


def plain(text: str) -> str:
    """Return text for Markdown that shows as it is, whatever a person has typed."""
    return re.sub(r"([\\`*_{}\[\]()#+.!|<>~$:&-])", r"\\\1", text)
