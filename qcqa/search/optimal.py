"""The optimal front: the best grouping known per layer and group count, then exact allocation."""

import numpy as np
from numpy.typing import NDArray

from qcqa.front import LayerCandidates, LowerBound
from qcqa.gram import ModelGrams
from qcqa.grouping import canonical_labels
from qcqa.search.allocation import allocate
from qcqa.search.config import SearchSettings
from qcqa.search.exact import EXACT_HEADS, exact_labels
from qcqa.search.layers import layer_rng
from qcqa.search.table import best_table
from qcqa.wse import population_wse, spectral_bound

FloatArray = NDArray[np.float64]


def optimal_candidates(gram: FloatArray, settings: SearchSettings, layer: int) -> LayerCandidates:
    """Return one layer's best groupings, a candidate for every group count; pure and picklable."""
    rng = layer_rng(settings, layer)
    table = best_table(gram, restarts=settings.restarts, rng=rng)
    return LayerCandidates.shared(table.labels, table.error)


def optimal_seconds(num_heads: int, settings: SearchSettings) -> float:
    """Return a guess of what :func:`optimal_candidates` takes."""
    if num_heads <= EXACT_HEADS:
        return 0.02
    return 0.007 * (settings.restarts + 1) * (num_heads / 32) ** 3


def layer_bound(gram: FloatArray) -> FloatArray:
    """Return the WSE below which no grouping of a layer comes, for every group count, shape (H,).

    For as many heads as can be solved exactly it is the optimum itself, else the spectral bound.
    """
    if len(gram) <= EXACT_HEADS:
        return population_wse(gram, canonical_labels(exact_labels(gram)))
    return spectral_bound(gram)


def lower_bound(grams: ModelGrams) -> LowerBound:
    """Return what no plan can beat that groups keys and values alike.

    The bounds of the layers, summed by the same allocation as the front. Where every layer was
    solved exactly, the optimal front lies on it: it is proven.
    """
    bounds = [layer_bound(layer.total) for layer in grams]
    costs = [2 * np.arange(1, layer.num_heads + 1) for layer in grams]
    cost, error, _ = allocate(costs, bounds)
    return LowerBound(cost=cost, error=np.minimum.accumulate(error))
