"""Sums over clusters of samples: enough for the standard error of the difference of two models."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, hypot
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

#: With fewer samples, or clusters of samples, nobody can tell how much they differ.
FEWEST_CLUSTERS = 10

#: More clusters than this are joined with their neighbours: a standard error from a hundred sums
#: is right to 7 %, and neighbours that are alike then count as one.
_MOST_SUMS = 100

#: A mean whose exponential says nothing any more, and whose square may be beyond all numbers.
_LARGEST_EXPONENT = 100.0

#: Decimals of a sum in a file.
_DECIMALS = 5


def clusters_of(document: NDArray[np.int32], window: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return what counts as one sample in standard errors, for each token: ``(N,)``.

    The documents, because tokens of one share its subject. A text of a few documents, such as
    one long file, has too few of them; there it is windows, each read on its own.
    """
    return document if len(np.unique(document)) >= FEWEST_CLUSTERS else window


@dataclass(frozen=True, slots=True)
class Stratum:
    """Samples of one data set as sums over clusters.

    Parameters
    ----------
    weight : float
        Share of this data set's mean in the whole; 1 where it stands alone.
    counts : tuple of int
        Samples of each cluster.
    sums : tuple of float
        Their sum in each cluster.
    """

    weight: float
    counts: tuple[int, ...]
    sums: tuple[float, ...]

    @classmethod
    def of(
        cls, values: NDArray[Any], clusters: NDArray[np.integer[Any]], *, weight: float = 1.0
    ) -> Self:
        """Return the sums of samples.

        Parameters
        ----------
        values, clusters : ndarray, shape (N,)
            The samples, and the cluster of each, counted from 0.
        weight : float
            See above.
        """
        _, number = np.unique(clusters, return_inverse=True)
        total = int(number.max(initial=-1)) + 1
        joined = number * min(total, _MOST_SUMS) // max(total, 1)
        sums = np.bincount(joined, weights=np.asarray(values, dtype=np.float64))
        return cls(
            weight=weight,
            counts=tuple(np.bincount(joined).tolist()),
            sums=tuple(np.round(sums, _DECIMALS).tolist()),
        )


@dataclass(frozen=True, slots=True)
class Samples:
    """One figure's samples.

    Parameters
    ----------
    metric : str
        Name of the figure, as in :attr:`Measurement.metric`.
    digest : str
        Hash of what was asked. Models with the same had the same samples.
    strata : tuple of Stratum
        One, or those of the tasks of a group.
    """

    metric: str
    digest: str
    strata: tuple[Stratum, ...]


def paired_standard_error(first: Samples, other: Samples, *, of_exp: bool = False) -> float | None:
    """Return the standard error of the difference of two models' figures.

    Both had the same samples, so that what is hard for both cancels out: with residuals ``r_c`` of
    the differences of the clusters' sums, ``SE^2 = C / (C - 1) * sum r_c^2 / N^2``; see
    :func:`qcqa.measure.statistics.clustered_mean`.

    Parameters
    ----------
    first, other : Samples
        Of the two models.
    of_exp : bool
        Whether the figures are exponentials of these means, as a perplexity is.

    Returns
    -------
    float or None
        None where the samples are not the same, or are of too few clusters.
    """
    if (first.metric, first.digest) != (other.metric, other.digest):
        return None
    if [(s.weight, s.counts) for s in first.strata] != [(s.weight, s.counts) for s in other.strata]:
        return None
    errors: list[float] = []
    for mine, others in zip(first.strata, other.strata, strict=True):
        counts = np.array(mine.counts)
        if len(counts) < FEWEST_CLUSTERS:
            return None
        if of_exp and max(sum(mine.sums), sum(others.sums)) > _LARGEST_EXPONENT * counts.sum():
            return None
        residuals = _residuals(mine.sums, counts, of_exp) - _residuals(others.sums, counts, of_exp)
        variance = len(counts) / (len(counts) - 1) * np.square(residuals).sum()
        errors.append(mine.weight * float(variance) ** 0.5 / int(counts.sum()))
    return hypot(*errors)


def _residuals(
    sums: Sequence[float], counts: NDArray[np.int64], of_exp: bool
) -> NDArray[np.float64]:
    """Return how far clusters' sums are from what the mean makes of them, shape (C,)."""
    mean = sum(sums) / int(counts.sum())
    # The derivative of the exponential at the mean is the exponential itself.
    scale = exp(mean) if of_exp else 1.0
    return np.asarray(scale * (np.array(sums) - mean * counts))
