"""What the plans of a front take at a load.

A front's costs are bits per token at :data:`~qcqa.reduce.stored.COST_CONTEXT` tokens in the
source's type, rounded up at every site. Heads take the same share of the source's cache at every
load. Bits do not: the newest tokens stay at full precision, the oldest may have the fewest bits,
and scales do not shrink with the type. A size is a plan's share at the load of the source's bits
per token, so that a share of the source, a size in GiB and a cost are counted alike; it leaves out
less than one bit per token.
"""

from functools import cache

import numpy as np

from qcqa.model.spec import ModelSpec
from qcqa.reduce.choice import Site, stored_at
from qcqa.search.front import Front, IntArray


def sizes_at(front: Front, spec: ModelSpec, tokens: int, element_bits: int) -> IntArray:
    """Return the size of each plan of a front, shape (N,), in bits per token of the source's type.

    Parameters
    ----------
    front : Front
        Of a method.
    spec : ModelSpec
        The source model.
    tokens : int
        Of one sequence.
    element_bits : int
        Of what is kept at full precision.
    """

    @cache
    def held(site: Site) -> int:
        return stored_at(site, spec, element_bits).bytes(tokens)

    total = np.zeros(len(front), dtype=np.int64)
    for layer, taken in zip(front.layers, front.choices.T, strict=True):
        some, place = np.unique(taken, return_inverse=True)
        choices = (layer.choices[number] for number in some.tolist())
        total += np.array([held(choice.key) + held(choice.value) for choice in choices])[place]
    return total * 8 * spec.element_bits // (tokens * element_bits)
