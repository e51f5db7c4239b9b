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

    def spectrum(self) -> FloatArray:
        """Return the eigenvalues of the weighted rows, increasing, shape (parts, H n).

        A shared head keeps ``n`` dimensions of each part.
        """
        ...


def in_metric(rows: FloatArray, moment: FloatArray | None) -> FloatArray:
    """Return rows (..., e) times the second moment (e, e) of the inputs; None is the identity."""
    if moment is None:
        return rows
    # One product: of a stack, numpy would make many small ones, at half the speed.
    return np.asarray((rows.reshape(-1, rows.shape[-1]) @ moment).reshape(rows.shape))


def bound_of_spectrum(spectra: NDArray[np.floating], num_heads: int) -> FloatArray:
    """Return what no grouping of ``k`` groups is below at ``k - 1``, shape (H,).

    Parameters
    ----------
    spectra : array, shape (parts, H n)
        As :meth:`Gram.spectrum` returns it; ``k`` groups span ``k n`` dimensions of each part at
        most, so the eigenvalues past them are lost.
    num_heads : int
        Heads, ``H``.
    """
    kept = spectra.shape[1] // num_heads
    spectrum = spectra.clip(min=0).sum(axis=0, dtype=np.float64)
    lost = np.append(np.cumsum(spectrum)[kept - 1 : -1 : kept][::-1], 0.0)
    # Rounding must not raise a bound over the error that it bounds.
    return np.asarray((lost - np.finfo(spectra.dtype).eps * spectrum.sum()).clip(min=0))
