"""What no grouping can beat: a lower bound on the WSE of one layer at every group count."""

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

#: Rounding of eigenvalues, relative to the trace; the bound must not rise above the truth by it.
_ROUNDING = 1e-12


def spectral_bound(gram: FloatArray) -> FloatArray:
    """Return the k-means spectral bound of a layer.

    With ``Gc = P G P`` and ``P = I - 11'/H``, the WSE of ``k`` groups is at least ``tr(Gc)`` less
    the ``k - 1`` largest eigenvalues of ``Gc``: groups span ``k`` dimensions, one of which is the
    mean of all heads.

    Parameters
    ----------
    gram : array, shape (H, H)
        Inner products between the heads.

    Returns
    -------
    array, shape (H,)
        Entry ``k - 1`` bounds groupings of ``k`` groups; not increasing, 0 at ``k = H``.
    """
    row_mean = gram.mean(axis=0)
    centred = gram - row_mean[:, None] - row_mean + row_mean.mean()  # (H, H)
    eigenvalues = np.linalg.eigvalsh(centred)[::-1].clip(min=0)  # decreasing; the last is 0
    # Summed from the smallest up, so that small bounds keep their digits.
    bound = np.append(np.cumsum(eigenvalues[::-1])[::-1][:-1], 0.0)[: len(gram)]
    bound = np.maximum(bound - _ROUNDING * np.trace(gram), 0.0)
    bound[-1] = 0.0
    return np.asarray(bound)
