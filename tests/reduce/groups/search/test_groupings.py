"""Groupings of one layer: exact, searched and bounded, against brute force."""

import numpy as np
import pytest

from qcqa.reduce.groups.grouping import Grouping
from qcqa.reduce.groups.objective import WseObjective
from qcqa.reduce.groups.search.exact import errors_of_groups, exact_labels
from qcqa.reduce.groups.search.local_search import local_search
from qcqa.reduce.groups.search.table import best_table, searched_table
from qcqa.reduce.groups.search.ward import ward_labels
from qcqa.reduce.groups.wse import population_wse, spectral_bound


def _best_by_brute_force(gram, partitions):
    error, counts = population_wse(gram, partitions), partitions.max(axis=1) + 1
    return np.array([error[counts == count].min() for count in range(1, len(gram) + 1)])


def _counts(labels):
    return [len(set(row)) for row in labels.tolist()]


def test_the_brute_force_knows_all_partitions(all_partitions):
    assert [len(all_partitions(n)) for n in (1, 2, 3, 4, 8)] == [1, 2, 5, 15, 4140]


@pytest.mark.parametrize("num_heads", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("centres", [0.0, 0.6])
def test_exact_and_local_search_equal_brute_force(num_heads, centres, make_gram, all_partitions):
    for seed in range(4):
        gram = make_gram(num_heads, seed, centres=centres)
        best, slack = _best_by_brute_force(gram, all_partitions(num_heads)), 1e-12 * np.trace(gram)
        exact = exact_labels(errors_of_groups(WseObjective(gram)))
        assert _counts(exact) == list(range(1, num_heads + 1))
        np.testing.assert_allclose(population_wse(gram, exact), best, atol=slack)
        if num_heads == 1:
            continue
        found = searched_table(gram, restarts=12, rng=np.random.default_rng(seed))
        assert _counts(found.labels) == list(range(1, num_heads + 1))
        np.testing.assert_allclose(found.error, best, atol=slack)


@pytest.mark.parametrize("seed", range(3))
def test_local_search_equals_exact_on_twelve_heads(seed, make_gram):
    gram = make_gram(12, seed)
    exact = best_table(WseObjective(gram), restarts=0, rng=np.random.default_rng(0))
    found = searched_table(gram, restarts=12, rng=np.random.default_rng(seed))
    np.testing.assert_allclose(found.error, exact.error, atol=1e-12 * np.trace(gram))


def test_no_move_and_no_swap_improves_what_local_search_returns(make_gram):
    gram = make_gram(10, 1)
    rng = np.random.default_rng(0)
    starts = np.array([rng.permutation(np.arange(10) % count) for count in range(1, 11)] * 3)
    found = local_search(gram, starts)
    before, after = population_wse(gram, starts), population_wse(gram, found)
    assert (after <= before + 1e-9).all()
    assert _counts(found) == _counts(starts)
    for labels, error in zip(found, after, strict=True):
        neighbours = []
        for head in range(10):
            for label in set(labels.tolist()):
                neighbours.append(np.where(np.arange(10) == head, label, labels))
            for other in range(head):
                swapped = labels.copy()
                swapped[[head, other]] = labels[[other, head]]
                neighbours.append(swapped)
        same_count = [row for row in neighbours if len(set(row)) == len(set(labels))]
        assert population_wse(gram, np.array(same_count)).min() >= error - 1e-9 * np.trace(gram)


def test_ward_merges_the_cheapest_pair_each_time(make_gram):
    gram = make_gram(9, 2)
    table = ward_labels(gram)
    assert _counts(table) == list(range(1, 10))
    for finer, coarser in zip(table[:0:-1], table[-2::-1], strict=True):
        merges = [
            np.where(finer == one, other, finer) for one in set(finer) for other in range(one)
        ]
        cheapest = population_wse(gram, np.array(merges)).min()
        assert population_wse(gram, coarser[None])[0] == pytest.approx(cheapest)


@pytest.mark.parametrize("num_heads", [16, 24])
def test_the_table_never_loses_to_gqa_or_ward_and_falls_with_every_group(num_heads, make_gram):
    gram = make_gram(num_heads, 5)
    table = best_table(WseObjective(gram), restarts=2, rng=np.random.default_rng(0))
    assert _counts(table.labels) == list(range(1, num_heads + 1))
    assert table.error[-1] == 0
    assert (np.diff(table.error) < 0).all()
    assert (table.error <= population_wse(gram, ward_labels(gram)) + 1e-9).all()
    for count in (1, 2, 4, 8):
        blocks = np.array([Grouping.contiguous(num_heads, count).labels])
        assert table.error[count - 1] <= population_wse(gram, blocks)[0] + 1e-9


def test_planted_clusters_are_found():
    rng = np.random.default_rng(0)
    cluster = rng.permutation(np.arange(24) % 6)
    heads = rng.normal(size=(6, 50))[cluster] + 0.05 * rng.normal(size=(24, 50))
    table = best_table(WseObjective(heads @ heads.T), restarts=2, rng=rng)
    assert Grouping.from_labels(table.labels[5]) == Grouping.from_labels(cluster)


@pytest.mark.parametrize("num_heads", [1, 2, 5, 8])
def test_the_bound_is_below_every_partition(num_heads, make_gram, all_partitions):
    for seed in range(6):
        gram = make_gram(num_heads, seed, centres=seed / 3)
        bound, best = spectral_bound(gram), _best_by_brute_force(gram, all_partitions(num_heads))
        assert (bound <= best).all()
        assert (np.diff(bound) <= 0).all()
        assert bound[-1] == 0
        assert bound[0] == pytest.approx(best[0])  # one group: nothing is relaxed


def test_the_bound_is_close_where_heads_cluster(make_gram):
    """Distance that is stated: 10% of the WSE on average over group counts, at 32 heads."""
    gram = make_gram(32, 0)
    table = best_table(WseObjective(gram), restarts=4, rng=np.random.default_rng(0))
    bound = spectral_bound(gram)
    assert (bound <= table.error).all()
    assert 1 - bound.sum() / table.error.sum() < 0.10


def test_heads_that_are_equal_cost_nothing():
    gram = np.ones((16, 16))
    table = best_table(WseObjective(gram), restarts=1, rng=np.random.default_rng(0))
    np.testing.assert_allclose(table.error, 0, atol=1e-9)
    assert (spectral_bound(gram) <= table.error + 1e-12).all()
