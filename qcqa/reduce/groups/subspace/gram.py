"""What every kind of Gram answers: the error of letting heads share, added up over Grams."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]


class Gram(Protocol):
    """Inner products between the heads of a layer, or between some of their dimensions."""

    @property
    def num_heads(self) -> int:
        """Heads, ``H``."""
        ...

    @property
    def total(self) -> float:
        """The error if all heads vanished."""
        ...

    def errors(self, groups: NDArray[np.integer]) -> FloatArray:
        """Return the error of sharing one head, for groups (G, m) of one size, shape (G,)."""
        ...

    def bound(self) -> FloatArray:
        """Return what no grouping of ``k`` groups is below at ``k - 1``, shape (H,)."""
        ...


def in_metric(rows: FloatArray, moment: FloatArray | None) -> FloatArray:
    """Return rows (..., e) times the second moment (e, e) of the inputs; None is the identity."""
    if moment is None:
        return rows
    # One product: of a stack, numpy would make many small ones, at half the speed.
    return np.asarray((rows.reshape(-1, rows.shape[-1]) @ moment).reshape(rows.shape))


def bound_of_spectra(spectra: NDArray[np.floating], kept: int) -> FloatArray:
    """Return the sum of what ``kept`` dimensions for each group cannot hold, shape (H,).

    Parameters
    ----------
    spectra : array, shape (..., H * kept)
        Eigenvalues of Grams, increasing; those past the ``k * kept`` largest are lost to any ``k``
        groups.
    kept : int
        Dimensions that a group keeps in each.
    """
    spectrum = spectra.clip(min=0).reshape(-1, spectra.shape[-1]).sum(axis=0, dtype=np.float64)
    lost = np.append(np.cumsum(spectrum)[kept - 1 : -1 : kept][::-1], 0.0)
    # Rounding must not raise a bound over the error that it bounds.
    return np.asarray((lost - np.finfo(spectra.dtype).eps * spectrum.sum()).clip(min=0))
