"""Phrases that several texts for people share."""

from collections.abc import Mapping, Sequence

from qcqa.charts.common.kv_axis import significant
from qcqa.model.spec import ModelSpec
from qcqa.plan.plan import Plan
from qcqa.reduce.registry import stored_words
from qcqa.reduce.terms import Fitness, MergeName

#: Name and unit of what a search minimises; WSE and output error are told relative to losing all.
ERROR_NAMES: Mapping[Fitness, tuple[str, str]] = {
    "wse": ("relative WSE", ""),
    "output-error": ("relative output error", ""),
    "loss": ("summed rise of the loss", "nats per token"),
}

#: How merged heads are computed, for people.
MERGES: Mapping[MergeName, str] = {
    "mean": "mean",
    "mean-norm": "mean, rescaled",
    "aligned": "mean of rotated heads",
    "svd": "subspaces",
}


def error_text(fitness: Fitness, error: float) -> str:
    """Return an error with name and unit: ``relative WSE 0.56``."""
    name, unit = ERROR_NAMES[fitness]
    return f"{name} {significant(error)} {unit}".strip()


def merge_label(merge: str) -> str:
    """Return what people call a merge of a measured row; the source has none."""
    unknown = "none" if merge == "none" else "unknown merge"
    return next((label for name, label in MERGES.items() if name == merge), unknown)


def merge_text(plan: Plan) -> str:
    """Return how the heads of a plan's groups become one."""
    if not plan.shares_heads:
        return "none"
    return MERGES[plan.merge] + (", refitted on calibration text" if plan.refit else "")


def kept_words(plan: Plan) -> str:
    """Return what a plan keeps: ``72 of 96 K and V heads, in 4 bits``."""
    heads = f"{plan.num_stored_heads:,} of {plan.model.num_stored_heads:,} K and V heads"
    sites = [site for layer in plan.layers for site in layer.sites]
    words = stored_words(sites)
    return f"{heads}, in {words}" if words else heads


def wse_note(plan: Plan) -> str:
    """Say what the WSE of a plan's groups is, and what it is not."""
    return "WSE is what merging by the mean loses of the weights. " + (
        "It is no accuracy."
        if plan.merge == "mean"
        else f"This plan's merge is another ({merge_text(plan)}): WSE is not what it loses."
    )


def counted(count: int, thing: str) -> str:
    """Return a number of things: ``1 layer``, ``12 layers``."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def listed(names: Sequence[str]) -> str:
    """Return names as people list them: ``A, B and C``."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def in_sentence(label: str) -> str:
    """Return a label within a sentence: small, unless it begins with an abbreviation."""
    return label if label[:2].isupper() else label[:1].lower() + label[1:]


def geometry_text(spec: ModelSpec) -> str:
    """Return how many layers and heads a model has."""
    layers, heads = counted(spec.num_layers, "layer"), counted(spec.num_kv_heads, "KV head")
    text = f"{layers} \N{MULTIPLICATION SIGN} {heads}"
    if spec.num_query_heads != spec.num_kv_heads:
        text += f" ({counted(spec.num_query_heads, 'query head')})"
    return text
