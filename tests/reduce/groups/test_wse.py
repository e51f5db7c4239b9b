"""WSE from Grams alone against the definition on dense weights."""

import numpy as np
import pytest

from qcqa.reduce.groups.gram import gram_of_heads
from qcqa.reduce.groups.grouping import Grouping
from qcqa.reduce.groups.wse import grouping_wse, population_wse

NUM_HEADS = 9


@pytest.fixture(scope="module")
def heads():
    return np.random.default_rng(3).normal(size=(NUM_HEADS, 4, 31)).astype(np.float32)


@pytest.fixture(scope="module")
def gram(heads):
    return gram_of_heads(heads)


@pytest.fixture(scope="module")
def population():
    rng = np.random.default_rng(4)
    counts = rng.integers(1, NUM_HEADS + 1, size=(300, 1))
    return rng.integers(0, counts, size=(300, NUM_HEADS))


def _dense_wse(heads, labels):
    """Return the weight-sharing error by its definition."""
    groups = [heads[labels == label].astype(np.float64) for label in set(labels.tolist())]
    return sum(((members - members.mean(axis=0)) ** 2).sum() for members in groups)


def test_a_population_is_scored_as_its_dense_weights_are(heads, gram, population):
    expected = [_dense_wse(heads, labels) for labels in population]
    np.testing.assert_allclose(population_wse(gram, population), expected, rtol=1e-5, atol=1e-3)


def test_one_grouping_is_scored_as_in_a_population(gram, population):
    alone = [grouping_wse(gram, Grouping.from_labels(labels)) for labels in population]
    np.testing.assert_allclose(population_wse(gram, population), alone, rtol=1e-12)


def test_keys_and_values_add_up(heads):
    keys, values = heads[:, :2], heads[:, 2:]
    labels = np.array([[0, 0, 1, 1, 2, 2, 0, 1, 2]])
    together = population_wse(gram_of_heads(heads), labels)
    apart = population_wse(gram_of_heads(keys), labels) + population_wse(
        gram_of_heads(values), labels
    )
    np.testing.assert_allclose(together, apart, rtol=1e-5)


def test_mha_has_no_error_and_mqa_the_most_of_nested_groupings(gram):
    nested = [Grouping.contiguous(NUM_HEADS, count).labels for count in (9, 3, 1)]
    error = population_wse(gram, np.array(nested))
    assert error[0] == 0.0
    assert 0 < error[1] < error[2] <= np.trace(gram)


def test_names_of_groups_do_not_matter(gram, population):
    renamed = np.random.default_rng(5).permutation(100)[population]
    np.testing.assert_allclose(
        population_wse(gram, renamed), population_wse(gram, population), rtol=1e-12
    )


def test_never_negative_even_for_equal_heads():
    gram = gram_of_heads(np.ones((8, 3, 5), dtype=np.float32) / 3)
    labels = np.random.default_rng(0).integers(0, 4, size=(100, 8))
    error = population_wse(gram, labels)
    assert (error >= 0).all()
    np.testing.assert_allclose(error, 0, atol=1e-9)


def test_the_order_of_heads_does_not_matter(heads, population):
    order = np.random.default_rng(6).permutation(NUM_HEADS)
    shuffled = population_wse(gram_of_heads(heads[order]), population[:, order])
    np.testing.assert_allclose(
        shuffled, population_wse(gram_of_heads(heads), population), rtol=1e-5, atol=1e-3
    )
