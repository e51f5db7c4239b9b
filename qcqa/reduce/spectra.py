"""How much of a site's heads each direction holds: what is lost where only some are kept.

Energies are squared errors of the attention's output, as the fitness ``output-error`` states them,
so that keys compare with values and layers with each other.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: Cached elements of a direction in a rotary plane, which is a complex number.
PLANE_ELEMENTS = 2


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """Which directions of a spectrum are kept.

    Parameters
    ----------
    planes : array, shape (P, H)
        In rotary planes.
    free : array, shape (any,)
        In all other dimensions, shaped as the spectrum has them.
    """

    planes: BoolArray
    free: BoolArray


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """The energy of directions that may be kept or left out one by one.

    Parameters
    ----------
    planes : array, shape (P, H)
        Of each rotary plane's directions, none where nothing rotates; each takes two elements.
    free : array, shape (n,) or (H, f)
        Of the directions of all other dimensions; each takes one element.
    """

    planes: FloatArray
    free: FloatArray

    @property
    def elements(self) -> int:
        """Cached elements of a token if all directions are kept."""
        return PLANE_ELEMENTS * self.planes.size + self.free.size

    @property
    def total(self) -> float:
        """The error if nothing were kept."""
        return float(self.planes.sum() + self.free.sum())

    def error(self, kept: Kept) -> float:
        """Return what is lost with the directions that are left out."""
        return float(self.planes[~kept.planes].sum() + self.free[~kept.free].sum())

    def best(self, elements: int) -> Kept:
        """Return the directions of most energy that so many cached elements have room for.

        Exact: for every number of plane directions the rest of the room goes to the free ones, and
        the best of these is taken.

        Parameters
        ----------
        elements : int
            Of a token. Where only planes are there, and it is odd, one stays unused.
        """
        plane_order, free_order = (
            np.argsort(-part, axis=None, kind="stable") for part in (self.planes, self.free)
        )
        most_planes = min(elements // PLANE_ELEMENTS, self.planes.size)
        num_planes = np.arange(most_planes + 1)
        num_free = np.minimum(elements - PLANE_ELEMENTS * num_planes, self.free.size)
        held = (
            np.append(0.0, np.cumsum(self.planes.ravel()[plane_order]))[num_planes]
            + np.append(0.0, np.cumsum(self.free.ravel()[free_order]))[num_free]
        )
        best = int(held.argmax())
        kept = Kept(np.zeros(self.planes.shape, bool), np.zeros(self.free.shape, bool))
        kept.planes.ravel()[plane_order[: num_planes[best]]] = True
        kept.free.ravel()[free_order[: num_free[best]]] = True
        return kept


@dataclass(frozen=True, slots=True, eq=False)
class SiteSpectra:
    """The spectra of the keys, or of the values, of one layer.

    Parameters
    ----------
    joint : Spectrum
        Of directions that all heads have in common: eigenvalues, each plane's and the free ones'
        from the largest down.
    by_head : Spectrum
        Of each head's planes, and of the best directions of its other dimensions: shapes (P, H)
        and (H, f).
    """

    joint: Spectrum
    by_head: Spectrum

    @classmethod
    def unknown(cls, num_heads: int, head_dim: int) -> "SiteSpectra":
        """Return spectra in which all directions are alike, for guesses before any are known."""
        none = np.zeros((0, num_heads))
        by_head = np.ones((num_heads, head_dim))
        return cls(Spectrum(none, by_head.ravel()), Spectrum(none, by_head))
