"""Standard errors against a bootstrap, and what clusters and pairs change."""

import numpy as np
import pytest

from qcqa.measure.statistics import clustered_mean, sample_mean, spread_of


def clustered(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    sizes = rng.integers(5, 60, size=80)
    clusters = np.repeat(np.arange(80), sizes)
    return rng.normal(size=len(clusters)) + rng.normal(size=80)[clusters], clusters


def test_the_error_of_clusters_is_that_of_a_bootstrap_over_clusters() -> None:
    rng = np.random.default_rng(0)
    values, clusters = clustered(rng)
    mean = clustered_mean(values, clusters)
    sums = np.bincount(clusters, weights=values)
    sizes = np.bincount(clusters)
    draws = rng.integers(80, size=(4000, 80))
    bootstrap = (sums[draws].sum(1) / sizes[draws].sum(1)).std()
    assert mean.value == pytest.approx(values.mean())
    assert mean.standard_error == pytest.approx(bootstrap, rel=0.06)
    independent = sample_mean(values).standard_error
    assert independent is not None
    assert mean.standard_error > 3 * independent


def test_independent_samples_have_the_textbook_error() -> None:
    values = np.random.default_rng(1).normal(size=50)
    assert sample_mean(values).standard_error == pytest.approx(values.std(ddof=1) / 50**0.5)
    assert sample_mean(values).sample_count == 50


@pytest.mark.parametrize("count", [1, 2, 9])
def test_few_clusters_tell_no_error(count: int) -> None:
    """Two windows of a thousand tokens each once gave an error thirty times too small."""
    values = np.random.default_rng(2).normal(size=2000)
    assert clustered_mean(values, np.arange(2000) % count).standard_error is None
    assert clustered_mean(values, np.arange(2000) % 10).standard_error is not None
    assert sample_mean(values[:count]).standard_error is None
    assert spread_of(values[:count]).standard_error is None


def test_one_cluster_tells_no_error_and_the_order_of_samples_does_not_matter() -> None:
    values, clusters = clustered(np.random.default_rng(2))
    assert clustered_mean(values, np.zeros(len(values), int)).standard_error is None
    order = np.random.default_rng(3).permutation(len(values))
    shuffled = clustered_mean(values[order], clusters[order] + 7)
    assert shuffled.standard_error == pytest.approx(clustered_mean(values, clusters).standard_error)


def test_the_error_of_a_median_is_near_its_bootstrap_and_blind_to_an_outlier() -> None:
    rng = np.random.default_rng(4)
    values = rng.normal(loc=10, size=200)
    spread = spread_of(values)
    bootstrap = np.median(values[rng.integers(200, size=(4000, 200))], axis=1).std()
    assert spread.standard_error == pytest.approx(bootstrap, rel=0.35)
    assert spread.lower_quartile < spread.median < spread.upper_quartile
    disturbed = spread_of(np.append(values, 1e6))
    assert disturbed.standard_error == pytest.approx(spread.standard_error, rel=0.1)
    assert spread_of(values[:1]).standard_error is None
