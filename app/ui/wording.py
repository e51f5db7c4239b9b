"""Phrases that several pieces of the dashboard share."""

import re
from collections.abc import Sequence
from datetime import datetime

from qcqa.model_spec import ModelSpec
from qcqa.plan import GroupingPlan
from qcqa.terms import Merge

#: How merged heads are computed, for people.
MERGES: dict[Merge, str] = {
    "mean": "mean",
    "mean-norm": "mean, rescaled",
    "aligned": "mean of rotated heads",
    "svd": "subspaces",
}


def geometry_text(spec: ModelSpec) -> str:
    """Return how many layers and heads a model has."""
    layers = "1 layer" if spec.num_layers == 1 else f"{spec.num_layers} layers"
    heads = "1 KV head" if spec.num_kv_heads == 1 else f"{spec.num_kv_heads} KV heads"
    text = f"{layers} \N{MULTIPLICATION SIGN} {heads}"
    if spec.num_query_heads != spec.num_kv_heads:
        text += f" ({spec.num_query_heads} query heads)"
    return text


def merge_text(plan: GroupingPlan) -> str:
    """Return how the heads of a plan's groups become one."""
    return MERGES[plan.merge] + (", refitted on calibration text" if plan.refit else "")


def listed(names: Sequence[str]) -> str:
    """Return names as people list them: ``A, B and C``."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def when(time: str) -> str:
    """Return an ISO 8601 time as people write it; anything else as it is."""
    try:
        return datetime.fromisoformat(time).strftime("%-d %b %Y, %H:%M:%S UTC")
    except ValueError:
        return time


def plain(text: str) -> str:
    """Return text for Markdown that shows as it is, whatever a person has typed."""
    return re.sub(r"([\\`*_{}\[\]()#+.!|<>~$:&-])", r"\\\1", text)
