"""Phrases that several texts for people share."""

from collections.abc import Mapping, Sequence

from qcqa.model_spec import ModelSpec
from qcqa.report.kv_axis import significant
from qcqa.terms import Fitness

#: Name and unit of what a search minimises; WSE and output error are told relative to losing all.
ERROR_NAMES: Mapping[Fitness, tuple[str, str]] = {
    "wse": ("relative WSE", ""),
    "output-error": ("relative output error", ""),
    "loss": ("summed rise of the loss", "nats"),
}


def error_text(fitness: Fitness, error: float) -> str:
    """Return an error with name and unit: ``relative WSE 0.56``."""
    name, unit = ERROR_NAMES[fitness]
    return f"{name} {significant(error)} {unit}".strip()


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
