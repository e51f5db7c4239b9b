"""Blocks of neighbouring heads, alike in every layer: the baselines."""

from collections.abc import Sequence

import numpy as np

from qcqa.front import Front, LayerCandidates
from qcqa.gram import ModelGrams
from qcqa.grouping import Grouping
from qcqa.search.fronts import front_of
from qcqa.wse import population_wse


def block_front(method: str, grams: ModelGrams, group_counts: Sequence[int]) -> Front:
    """Return the front of plans that cut every layer into as many blocks of neighbours.

    Parameters
    ----------
    method : str
        Name of the method.
    grams : ModelGrams
        Of the model.
    group_counts : sequence of int
        Divisors of the number of heads, one plan each.
    """
    num_heads = grams.spec.num_kv_heads
    blocks = [Grouping.contiguous(num_heads, count).labels for count in group_counts]
    labels = np.array(blocks)  # (C, H)
    layers = [
        LayerCandidates.shared(labels, population_wse(layer.total, labels)) for layer in grams
    ]
    choices = np.repeat(np.arange(len(labels))[:, None], len(layers), axis=1)  # (C, L)
    return front_of(method, layers, choices)
