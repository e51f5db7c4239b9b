"""The WSE of a front's plans, so that fronts of any fitness stand on one axis."""

import numpy as np
from numpy.typing import NDArray

from qcqa.reduce.groups.gram import ModelGrams
from qcqa.reduce.groups.wse import choices_wse
from qcqa.search.front import Front

FloatArray = NDArray[np.float64]


def front_wse(front: Front, grams: ModelGrams) -> FloatArray:
    """Return the WSE of every plan of a front, whatever its search minimised, shape (N,)."""
    if front.fitness == "wse":
        return front.error
    layers = zip(front.layers, grams, front.choices.T, strict=True)
    of_layers = (choices_wse(gram, layer.choices)[chosen] for layer, gram, chosen in layers)
    return np.asarray(sum(of_layers))
