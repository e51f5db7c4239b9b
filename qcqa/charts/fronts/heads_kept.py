"""What each layer of a plan keeps, in so few words that a chart can say it of a point."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from qcqa.charts.common.wording import counted
from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.registry import REDUCTIONS
from qcqa.search.front import Front

#: Longer lists of runs of layers are told otherwise.
_LONGEST_RUNS = 90
#: A line of a small box.
_LONGEST_LINE = 46
#: Of deeper models the counts are only summed up.
_MOST_LAYERS_IN_ROWS = 40
_LAYERS_PER_ROW = 8

#: Stands for full precision beside numbers of bits.
_FULL = "\N{EM DASH}"

_BETWEEN = " \N{MIDDLE DOT} "

IntArray = NDArray[np.int64]


@lru_cache(maxsize=64)
def kept_texts(front: Front) -> tuple[str, ...]:
    """Return what every plan of a front keeps; remembered, for there are many.

    As :func:`heads_kept_text`, and where they are stored otherwise :func:`stored_text`.
    """
    num_heads = front.layers[0].num_heads
    kept = zip(*front.stored_heads, strict=True)
    heads = (heads_kept_text(key, value, num_heads) for key, value in kept)
    if not front.has_codecs:
        return tuple(heads)
    stored = map(stored_text, map(front.plan_layers, range(len(front))))
    if (front.stored_heads == num_heads).all():
        return tuple(stored)
    return tuple("<br>".join(filter(None, both)) for both in zip(heads, stored, strict=True))


def stored_text(layers: Sequence[LayerChoice]) -> str:
    """Return how each layer stores keys and values, with ``<br>`` between lines."""
    chosen = [
        [{part.kind: part.short for part in site if part.reads() is None} for site in layer.sites]
        for layer in layers
    ]
    kinds = {kind for sites in chosen for shorts in sites for kind in shorts}
    lines = []
    for kind in (name for name in REDUCTIONS if name in kinds):
        shorts = [[found.get(kind, _FULL) for found in sites] for sites in chosen]
        title = f"{REDUCTIONS[kind].label} of K/V ({_FULL}: all)"
        lines += [title, *_layer_lines(["/".join(sites) for sites in shorts])]
    return "<br>".join(lines)


def heads_kept_text(key_heads: IntArray, value_heads: IntArray, num_heads: int) -> str:
    """Return how many heads each layer keeps, with ``<br>`` between lines.

    Runs of equal layers where there are few of them (``L0-3: 8``), else a number per layer, and a
    summary for deep models. Where keys and values differ, it is both: ``8/4``.

    Parameters
    ----------
    key_heads, value_heads : array, shape (L,)
        K heads and V heads that each layer keeps.
    num_heads : int
        Those of the source.
    """
    keys, values = key_heads.tolist(), value_heads.tolist()
    is_apart = keys != values
    counts = (
        [f"{key}/{value}" for key, value in zip(keys, values, strict=True)]
        if is_apart
        else [str(key) for key in keys]
    )
    title = f"{'K/V heads' if is_apart else 'heads'} kept of {num_heads}"
    if lines := _layer_lines(counts):
        return "<br>".join([title, *lines])
    if is_apart:
        return (
            f"K heads kept of {num_heads}<br>{_summary(key_heads, num_heads)}"
            f"<br>V heads kept of {num_heads}<br>{_summary(value_heads, num_heads)}"
        )
    return f"{title}<br>{_summary(key_heads, num_heads)}"


def _layer_lines(counts: list[str]) -> list[str]:
    """Return the numbers of the layers as lines; none where the layers are too many."""
    runs = _runs(counts)
    if len(_BETWEEN.join(runs)) <= _LONGEST_RUNS:
        return _wrapped(runs)
    return _rows(counts) if len(counts) <= _MOST_LAYERS_IN_ROWS else []


def _runs(counts: list[str]) -> list[str]:
    runs, first = [], 0
    for count, layers in groupby(counts):
        last = first + len(list(layers)) - 1
        name = f"L{first}" if first == last else f"L{first}-{last}"
        runs.append(f"{name}: {count}")
        first = last + 1
    return runs


def _wrapped(parts: list[str]) -> list[str]:
    lines = [parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + len(_BETWEEN) + len(part) <= _LONGEST_LINE:
            lines[-1] += _BETWEEN + part
        else:
            lines.append(part)
    return lines


def _rows(counts: list[str]) -> list[str]:
    return [
        f"L{first}-{min(first + _LAYERS_PER_ROW, len(counts)) - 1}: "
        + " ".join(counts[first : first + _LAYERS_PER_ROW])
        for first in range(0, len(counts), _LAYERS_PER_ROW)
    ]


def _summary(heads: IntArray, num_heads: int) -> str:
    """Return how many layers keep all heads, more than half of them, more than a quarter ..."""
    parts, most = [], num_heads
    if whole := int((heads == num_heads).sum()):
        parts.append(f"all {num_heads}: {counted(whole, 'layer')}")
    while most > 1:
        least, most = most // 2, most - 1
        layers = int(((heads >= least) & (heads <= most)).sum())
        if layers:
            span = str(least) if least == most else f"{least}-{most}"
            parts.append(f"{span}: {counted(layers, 'layer')}")
        most = least
    return "<br>".join(_wrapped(parts))
