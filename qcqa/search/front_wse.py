"""The WSE of a front's plans, so that fronts of any fitness stand on one axis."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qcqa.reduce.groups.gram import ModelGrams
from qcqa.reduce.groups.wse import choices_wse
from qcqa.search.front import Front

FloatArray = NDArray[np.float64]


def front_wse(
    front: Front, grams: ModelGrams, plans: Sequence[int] | slice = slice(None)
) -> FloatArray:
    """Return the WSE of all plans of a front or of some, whatever its search minimised."""
    if front.fitness == "wse":
        return front.error[plans]
    choices = front.choices[plans]
    wse = np.zeros(len(choices))
    for layer, gram, chosen in zip(front.layers, grams, choices.T, strict=True):
        taken, place = np.unique(chosen, return_inverse=True)
        wse += choices_wse(gram, [layer.choices[c] for c in taken])[place]
    return wse
