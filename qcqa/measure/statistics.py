"""Means with standard errors, where samples come in clusters or in pairs."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcqa.measure.samples import FEWEST_CLUSTERS


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean and how sure it is.

    Parameters
    ----------
    value : float
        The mean over samples.
    standard_error : float or None
        None where there are fewer than :data:`~qcqa.measure.samples.FEWEST_CLUSTERS` clusters.
    sample_count : int
        Samples, not clusters.
    """

    value: float
    standard_error: float | None
    sample_count: int


def clustered_mean(values: NDArray[Any], clusters: NDArray[np.integer[Any]]) -> Mean:
    """Return the mean of all values, with a standard error that allows for clusters.

    Tokens of one text depend on each other: a name that is learnt in a story is right from then
    on. Counting them as independent samples makes the error too small. Clusters count instead, by
    the linearised ratio estimator: with residual sums ``r_c = sum of (x - mean) in c``,
    ``SE^2 = C / (C - 1) * sum r_c^2 / N^2`` (Cochran, Sampling Techniques, 1977, section 9A).

    Parameters
    ----------
    values : ndarray, shape (N,)
        The samples.
    clusters : ndarray, shape (N,)
        Cluster of each sample, counted from 0.
    """
    samples = np.asarray(values, dtype=np.float64)
    mean = float(samples.mean())
    _, number = np.unique(clusters, return_inverse=True)
    sums = np.bincount(number, weights=samples - mean)  # (C,)
    count = len(sums)
    if count < FEWEST_CLUSTERS:
        return Mean(mean, None, len(samples))
    variance = count / (count - 1) * float(np.square(sums).sum()) / len(samples) ** 2
    return Mean(mean, variance**0.5, len(samples))


def sample_mean(values: NDArray[Any]) -> Mean:
    """Return the mean of independent samples, with its standard error.

    Parameters
    ----------
    values : ndarray, shape (N,)
        The samples.
    """
    return clustered_mean(values, np.arange(len(values)))


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and quartiles of repeated measurements of a time.

    Parameters
    ----------
    median, lower_quartile, upper_quartile : float
        Of the measurements.
    count : int
        How many there were.
    """

    median: float
    lower_quartile: float
    upper_quartile: float
    count: int

    @property
    def interquartile_range(self) -> float:
        """Width of the middle half of the measurements."""
        return self.upper_quartile - self.lower_quartile

    @property
    def standard_error(self) -> float | None:
        """Of the median, from the interquartile range as if the middle half were normal.

        A normal distribution's interquartile range is 1.349 standard deviations, and its median's
        standard error 1.2533 standard deviations over the root of the count. Outliers, such as a
        round that the machine disturbed, leave it alone.
        """
        if self.count < FEWEST_CLUSTERS:
            return None
        return float(1.2533 * self.interquartile_range / 1.349 / self.count**0.5)


def spread_of(values: NDArray[Any]) -> Spread:
    """Return median and quartiles.

    Parameters
    ----------
    values : ndarray, shape (rounds,)
        The measurements.
    """
    lower, median, upper = (float(quartile) for quartile in np.quantile(values, (0.25, 0.5, 0.75)))
    return Spread(median, lower, upper, len(values))
