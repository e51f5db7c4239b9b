"""The paired standard error of two models, from sums over clusters alone."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qcqa.measure.samples import Samples, Stratum, paired_standard_error
from qcqa.measure.statistics import clustered_mean


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def _samples(values: NDArray[Any], clusters: NDArray[np.int64]) -> Samples:
    return Samples("heldout/nll", "digest", (Stratum.of(values, clusters),))


def _tokens(
    rng: np.random.Generator, num_clusters: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Return what two models score on the same tokens: what is hard for one is so for both."""
    clusters = np.repeat(np.arange(num_clusters), rng.integers(3, 30, num_clusters))
    hard = rng.normal(size=num_clusters)[clusters] + rng.normal(size=len(clusters))
    return hard + rng.normal(size=len(clusters)) / 9, hard + 0.1, clusters


@pytest.mark.parametrize("num_clusters", [10, 57, 100])
def test_error_is_that_of_the_differences_token_by_token(
    rng: np.random.Generator, num_clusters: int
) -> None:
    one, other, clusters = _tokens(rng, num_clusters)
    expected = clustered_mean(one - other, clusters).standard_error
    found = paired_standard_error(_samples(one, clusters), _samples(other, clusters))
    assert found == pytest.approx(expected, rel=1e-3)
    unpaired = clustered_mean(one, clusters).standard_error
    assert unpaired is not None
    assert found is not None
    assert found < unpaired / 3


def test_many_clusters_are_joined_and_say_about_the_same(rng: np.random.Generator) -> None:
    one, other, clusters = _tokens(rng, 3000)
    samples = _samples(one, clusters)
    assert len(samples.strata[0].sums) == 100
    assert sum(samples.strata[0].counts) == len(one)
    expected = clustered_mean(one - other, clusters).standard_error
    assert paired_standard_error(samples, _samples(other, clusters)) == pytest.approx(
        expected, rel=0.25
    )


def test_no_error_where_nobody_can_know_it(rng: np.random.Generator) -> None:
    one, other, clusters = _tokens(rng, 9)
    assert paired_standard_error(_samples(one, clusters), _samples(other, clusters)) is None
    one, other, clusters = _tokens(rng, 20)
    told = _samples(one, clusters)
    for changed in (replace(told, digest="other"), _samples(one[:-1], clusters[:-1])):
        assert paired_standard_error(changed, _samples(other, clusters)) is None


def test_the_same_scores_differ_by_nothing(rng: np.random.Generator) -> None:
    one, _, clusters = _tokens(rng, 20)
    assert paired_standard_error(_samples(one, clusters), _samples(one, clusters)) == 0


def test_tasks_of_a_group_count_by_their_weights(rng: np.random.Generator) -> None:
    answers = [rng.integers(0, 2, (2, count)) for count in (40, 160)]
    weights = (0.25, 0.75)

    def group(model: int) -> Samples:
        strata = (
            Stratum.of(both[model], np.arange(both.shape[1]), weight=weight)
            for both, weight in zip(answers, weights, strict=True)
        )
        return Samples("group/acc", "digest", tuple(strata))

    errors = [
        clustered_mean(both[0] - both[1], np.arange(both.shape[1])).standard_error or 0
        for both in answers
    ]
    expected = np.hypot(0.25 * errors[0], 0.75 * errors[1])
    assert paired_standard_error(group(0), group(1)) == pytest.approx(expected, rel=0.15)


def test_error_of_a_perplexity_is_carried_over(rng: np.random.Generator) -> None:
    """Compared with what resampling clusters says of the difference of two exponentials."""
    one, other, clusters = _tokens(rng, 100)
    found = paired_standard_error(_samples(one, clusters), _samples(other, clusters), of_exp=True)
    counts = np.bincount(clusters)
    sums = [np.bincount(clusters, weights=values) for values in (one, other)]
    drawn = rng.integers(0, 100, (2000, 100))
    means = [s[drawn].sum(axis=1) / counts[drawn].sum(axis=1) for s in sums]
    assert found == pytest.approx(np.std(np.exp(means[0]) - np.exp(means[1])), rel=0.2)


def test_a_perplexity_beyond_all_meaning_has_no_error(rng: np.random.Generator) -> None:
    one, _, clusters = _tokens(rng, 20)
    broken = _samples(one + 500, clusters)
    assert paired_standard_error(broken, broken, of_exp=True) is None
