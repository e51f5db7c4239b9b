"""Weight-sharing error of groupings, from Gram matrices alone (arXiv 2406.10247, section 3)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.groups.gram import HeadGram
from qcqa.reduce.groups.grouping import Grouping, LayerGrouping

FloatArray = NDArray[np.float64]

#: Rounding of eigenvalues, relative to the trace; the bound must not rise above the truth by it.
_ROUNDING = 1e-12


def population_wse(gram: FloatArray, labels: NDArray[np.integer]) -> FloatArray:
    """Return the weight-sharing error of every candidate grouping of a layer.

    ``WSE = tr(G) - sum over groups g of (1' G_gg 1) / |g|``, which equals the squared distance of
    the heads from their group's mean. Costs ``O(P H^2)`` whatever the size of the heads.

    Parameters
    ----------
    gram : array, shape (H, H)
        Inner products between the heads.
    labels : array, shape (P, H)
        Group of each head in each candidate; any integers.

    Returns
    -------
    array, shape (P,)
        Zero for singletons, never negative, the same for all names of the same groups.
    """
    same = labels[:, :, None] == labels[:, None, :]  # (P, H, H)
    group_sizes = same.sum(axis=2)  # (P, H)
    inner_with_group = np.einsum("phk,hk->ph", same, gram, optimize=False)  # (P, H)
    shared = (inner_with_group / group_sizes).sum(axis=1)  # (P,)
    error: FloatArray = np.maximum(np.trace(gram) - shared, 0.0)
    # Rounding leaves some 1e-16 of the trace where the error is nothing.
    error[(group_sizes == 1).all(axis=1)] = 0.0
    return error


def grouping_wse(gram: FloatArray, grouping: Grouping) -> float:
    """Return the weight-sharing error of one grouping; see :func:`population_wse`."""
    return float(population_wse(gram, np.asarray([grouping.labels]))[0])


def choices_wse(gram: HeadGram, choices: Sequence[LayerChoice]) -> FloatArray:
    """Return the weight-sharing error of some choices of a layer, shape (C,)."""
    layers = [LayerGrouping.of(choice, gram.num_heads) for choice in choices]
    wse = population_wse(gram.key, np.array([layer.key.labels for layer in layers]))
    return wse + population_wse(gram.value, np.array([layer.value.labels for layer in layers]))


def spectral_bound(gram: FloatArray) -> FloatArray:
    """Return the WSE below which no grouping of a layer comes, for every group count.

    The k-means spectral relaxation: with ``Gc = P G P`` and ``P = I - 11'/H``, the WSE of ``k``
    groups is at least ``tr(Gc)`` less the ``k - 1`` largest eigenvalues of ``Gc``: groups span
    ``k`` dimensions, one of which is the mean of all heads.

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
