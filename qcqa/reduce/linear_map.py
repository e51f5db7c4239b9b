"""Linear maps between the heads of a site and the fewer channels that its cache holds.

A map for keys must commute with their rotary embedding. It acts on each rotary plane, the two
dimensions ``a`` and ``b`` of a head that turn together, as on a complex number ``k[a] + i k[b]``:
one per head, of which any complex combination turns as they do. Dimensions that no position turns,
and those of values, are combined freely.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]


@dataclass(frozen=True, slots=True)
class MapShape:
    """How many channels a map keeps.

    Parameters
    ----------
    planes : tuple of int
        Complex channels of each rotary plane, ``P`` of them; none where nothing turns.
    free : int
        Channels of all other dimensions together.
    """

    planes: tuple[int, ...] = ()
    free: int = 0

    @property
    def width(self) -> int:
        """Real channels in all."""
        return 2 * sum(self.planes) + self.free

    def num_weights(self, num_heads: int, head_dim: int) -> int:
        """Return the numbers in a map of so many heads of this size, into the cache and back."""
        still = num_heads * (head_dim - 2 * len(self.planes))
        turning = 2 * len(self.planes) * max(self.planes, default=0) * num_heads
        return 2 * (turning + self.free * still)


@dataclass(frozen=True, slots=True, eq=False)
class LinearMap:
    """A map into the cache, ``z = C+ k``, and back, ``k = C z``.

    Planes in the order of the architecture's rotary planes, with ``R`` the highest rank of any;
    rows past a plane's rank are zero. The free dimensions are those of head 0, in ascending order,
    then those of head 1, and so on.

    Parameters
    ----------
    plane_encode : array, complex, shape (P, R, H)
        From the heads' numbers of a plane to its channels.
    plane_decode : array, complex, shape (P, H, R)
        And back.
    free_encode : array, shape (n, H * f)
        From the ``f`` free dimensions of all heads to their channels.
    free_decode : array, shape (H * f, n)
        And back.
    """

    plane_encode: ComplexArray
    plane_decode: ComplexArray
    free_encode: FloatArray
    free_decode: FloatArray

    def projected(self, heads: FloatArray, planes: tuple[tuple[int, int], ...]) -> FloatArray:
        """Return heads as the cache gives them back: mapped into it, and back.

        Parameters
        ----------
        heads : array, shape (H, dh, e)
            Of keys or values, or of the weights that make them.
        planes : tuple of (int, int)
            The two dimensions of each rotary plane, ``P`` of them.

        Returns
        -------
        array, shape (H, dh, e)
            Of which a map with ``C+ C = 1`` loses nothing more.
        """
        first, second = np.array(planes, dtype=np.int64).reshape(-1, 2).T
        free = np.setdiff1d(np.arange(heads.shape[1]), [*first, *second])
        projected = np.empty_like(heads)
        turning = (heads[:, first] + 1j * heads[:, second]).transpose(1, 0, 2)  # (P, H, e)
        turning = (self.plane_decode @ (self.plane_encode @ turning)).transpose(1, 0, 2)
        projected[:, first], projected[:, second] = turning.real, turning.imag
        still = heads[:, free]
        rows = still.reshape(len(heads) * len(free), heads.shape[2])  # (H f, e)
        projected[:, free] = (self.free_decode @ (self.free_encode @ rows)).reshape(still.shape)
        return projected
