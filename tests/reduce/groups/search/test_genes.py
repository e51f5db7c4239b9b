import numpy as np
import pytest

from qcqa.reduce.groups.grouping import Grouping
from qcqa.reduce.groups.search.genes import BlockGenes, LabelGenes, divisors


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def _partitions(labels):
    return {Grouping.from_labels(row) for row in labels}


def test_divisors():
    assert divisors(12) == [1, 2, 3, 4, 6, 12]
    assert divisors(7) == [1, 7]


@pytest.mark.parametrize("encoding", [LabelGenes(12), BlockGenes(12)])
def test_the_first_population_knows_the_baselines(encoding, rng):
    genes = encoding.sample(60, rng)
    assert genes.shape == (60, encoding.num_genes)
    baselines = {Grouping.contiguous(12, count) for count in divisors(12)}
    assert baselines <= _partitions(encoding.labels(genes))


@pytest.mark.parametrize("encoding", [LabelGenes(12), BlockGenes(12)])
def test_equal_groupings_have_equal_genes(encoding, rng):
    genes = encoding.sample(60, rng)
    for _ in range(30):
        children = encoding.cross(genes, genes[::-1], rng)
        children = encoding.canonical(encoding.mutate(encoding.canonical(children), 0.1, rng))
        labels = encoding.labels(children)
        assert len(np.unique(children, axis=0)) == len(_partitions(labels))
        np.testing.assert_array_equal(encoding.canonical(children), children)
        genes = children


def test_labels_of_equal_cardinality_are_of_equal_cardinality(rng):
    encoding = BlockGenes(12)
    genes = encoding.sample(60, rng)
    for _ in range(30):
        genes = encoding.canonical(
            encoding.mutate(encoding.cross(genes, genes[::-1], rng), 0.2, rng)
        )
        assert (np.sort(genes[:, :-1], axis=1) == np.arange(12)).all()
        assert all(
            len({*map(len, grouping.groups)}) == 1
            for grouping in _partitions(encoding.labels(genes))
        )


def test_crossover_of_labels_hands_on_whole_groups(rng):
    encoding = LabelGenes(10)
    first, second = encoding.sample(200, rng), encoding.sample(200, rng)
    children = encoding.canonical(encoding.cross(first, second, rng))
    for child, one, other in zip(children, first, second, strict=True):
        inherited = set(Grouping.from_labels(other).groups)
        for group in Grouping.from_labels(child).groups:
            # either a group of the second parent, or what is left of one of the first
            assert group in inherited or len({one[head] for head in group}) == 1


def test_crossover_of_blocks_keeps_at_least_some(rng):
    encoding = BlockGenes(12)
    first, second = encoding.sample(200, rng), encoding.sample(200, rng)
    children = encoding.cross(first, second, rng)
    np.testing.assert_array_equal(children[:, -1], first[:, -1])
    kept = [
        len(set(Grouping.from_labels(a).groups) & set(Grouping.from_labels(b).groups)) > 0
        for a, b in zip(encoding.labels(first), encoding.labels(children), strict=True)
    ]
    assert np.mean(kept) > 0.8


@pytest.mark.parametrize("encoding", [LabelGenes(12), BlockGenes(12)])
def test_twins_have_their_parents_grouping(encoding, rng):
    genes = encoding.sample(60, rng)
    if isinstance(encoding, LabelGenes):
        np.testing.assert_array_equal(encoding.canonical(encoding.cross(genes, genes, rng)), genes)
    np.testing.assert_array_equal(encoding.mutate(genes, 0.0, rng), genes)
    changed = (encoding.mutate(genes, 1 / 12, rng) != genes).any(axis=1).mean()
    assert 0.1 < changed < 0.95
