"""From candidates of the layers to the front over layers."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qcqa.front import Front, LayerCandidates
from qcqa.search.allocation import allocate
from qcqa.search.pareto import nondominated


def front_of(method: str, layers: Sequence[LayerCandidates], choices: NDArray[np.integer]) -> Front:
    """Return the front among some plans: sorted by cost, none dominated.

    Parameters
    ----------
    method : str
        Name of the method.
    layers : sequence of L LayerCandidates
        What the plans choose from.
    choices : array, shape (N, L)
        The candidate that each plan takes in each layer.
    """
    plans = Front(method=method, layers=tuple(layers), choices=choices.astype(np.int64))
    keep = nondominated(plans.cost, plans.error)
    return Front(method=method, layers=plans.layers, choices=plans.choices[keep])


def best_front(method: str, layers: Sequence[LayerCandidates]) -> Front:
    """Return the front that no choice of one candidate per layer can beat."""
    _, _, choices = allocate([layer.cost for layer in layers], [layer.error for layer in layers])
    return front_of(method, layers, choices)
