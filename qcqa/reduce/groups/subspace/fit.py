"""How a group's heads and their shared head are made of each other."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A shared head as a mixture of a group's heads, and each head as an image of it.

    Parameters
    ----------
    mix : array, shape (m, n, n)
        The shared head is ``sum_i mix_i V_i``.
    basis : array, shape (m, n, n)
        Head ``i`` becomes ``basis_i`` times the shared head.
    """

    mix: FloatArray
    basis: FloatArray

    def shared(self, heads: FloatArray) -> FloatArray:
        """Return the shared head (n, e) of heads (m, n, e)."""
        return np.asarray((self.mix @ heads).sum(axis=0))
