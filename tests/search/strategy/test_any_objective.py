"""Searches on objectives that are not WSE: any error that is a sum over groups."""

from dataclasses import dataclass

import numpy as np
import pytest

from qcqa.reduce.candidates import Slot, slots_of
from qcqa.reduce.groups.grouping import Grouping
from qcqa.reduce.groups.objective import WseObjective
from qcqa.reduce.groups.search.exact import TabulatedObjective, errors_of_groups, exact_labels
from qcqa.reduce.groups.search.table import searched_table
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.optimal import lower_bound, optimal_candidates
from qcqa.search.strategy.options import ExactOptions, TwoStageOptions
from qcqa.search.strategy.stage_one import slot_rng, tabulate
from qcqa.search.strategy.two_stage import arbitrary_cardinality, equal_cardinality

SETTINGS = SearchSettings(
    two_stage=TwoStageOptions(population_size=40, generations=30),
    exact=ExactOptions(restarts=2),
    workers=1,
)


def _searched(search, objective):
    options = SETTINGS.exact if search is optimal_candidates else SETTINGS.two_stage
    return search(objective, options, Slot(0), slot_rng(SETTINGS.seed, Slot(0)))


@dataclass(frozen=True)
class Diameters:
    """The largest distance within each group, times its size: no Gram gives that."""

    gram: np.ndarray

    @property
    def num_heads(self):
        return len(self.gram)

    @property
    def total(self):
        return float(np.trace(self.gram))

    @property
    def guided_exactly(self):
        return False

    def error(self, labels):
        return np.array(
            [self.error_of_groups(Grouping.from_labels(row).groups).sum() for row in labels]
        )

    def error_of_groups(self, groups):
        norm = np.diag(self.gram)
        distance = norm[:, None] + norm - 2 * self.gram
        return np.array([len(g) * distance[np.ix_(g, g)].max() * (len(g) > 1) for g in groups])

    def bound(self):
        return np.zeros(self.num_heads)


def _random_table(num_heads, seed):
    """Return an objective whose groups cost what chance says."""
    rng = np.random.default_rng(seed)
    table = rng.random(1 << num_heads)
    table[[0, *(1 << np.arange(num_heads))]] = 0
    return TabulatedObjective(table, np.eye(num_heads), 1.0)


def _by_brute_force(objective, partitions):
    error, counts = objective.error(partitions), partitions.max(axis=1) + 1
    return [error[counts == count].min() for count in range(1, objective.num_heads + 1)]


@pytest.mark.parametrize("num_heads", [1, 2, 4, 6])
def test_the_exact_search_needs_no_gram(num_heads, all_partitions):
    for seed in range(10):
        objective = _random_table(num_heads, seed)
        best = _by_brute_force(objective, all_partitions(num_heads))
        labels = exact_labels(errors_of_groups(objective))
        assert [len(set(row)) for row in labels.tolist()] == list(range(1, num_heads + 1))
        np.testing.assert_allclose(objective.error(labels), best, atol=1e-12)
        np.testing.assert_allclose(objective.bound(), best, atol=1e-12)


@pytest.mark.parametrize("make", [WseObjective, Diameters])
def test_a_table_says_what_its_objective_says(make, make_gram):
    objective = make(make_gram(7, 3))
    table = TabulatedObjective.of(objective)
    labels = np.random.default_rng(0).integers(-2, 5, size=(60, 7))
    np.testing.assert_allclose(table.error(labels), objective.error(labels), atol=1e-9)
    groups = [(0, 3, 6), (2,), (1, 5)]
    np.testing.assert_allclose(
        table.error_of_groups(groups), objective.error_of_groups(groups), atol=1e-9
    )
    assert table.error(np.arange(7)[None])[0] == 0


@pytest.mark.parametrize("search", [arbitrary_cardinality, optimal_candidates])
def test_few_heads_are_searched_by_the_error_itself(search, make_gram, all_partitions):
    objective = TabulatedObjective.of(Diameters(make_gram(6, 1)))
    found = _searched(search, objective)
    best = _by_brute_force(objective, all_partitions(6))
    np.testing.assert_allclose(found.error, best, atol=1e-9)


@pytest.mark.parametrize("search", [arbitrary_cardinality, equal_cardinality, optimal_candidates])
def test_many_heads_are_searched_by_the_gram_and_judged_by_the_error(search, make_gram):
    objective = Diameters(make_gram(14, 2))
    found = _searched(search, objective)
    np.testing.assert_array_equal(found.error, objective.error(found.labels))
    assert found.error[-1] == 0
    assert found.num_groups[-1] == 14
    for count in (1, 2, 7, 14):
        gqa = objective.error(np.array([Grouping.contiguous(14, count).labels]))[0]
        assert found.error[found.num_groups <= count].min() <= gqa


def test_of_what_the_gram_finds_the_table_keeps_the_best_by_the_error(make_gram):
    objective = Diameters(make_gram(14, 2))
    guided = searched_table(objective.gram, restarts=2, rng=np.random.default_rng(0))
    found = _searched(optimal_candidates, objective)
    assert found.num_groups.tolist() == list(range(1, 15))
    assert (found.error <= objective.error(guided.labels) + 1e-9).all()


def test_tables_are_made_once_whoever_makes_them(make_gram, make_problem):
    grams = [make_gram(8, seed) for seed in range(3)]
    slots = slots_of(3, apart=True)
    alone, together = (
        make_problem(grams, lambda gram: TabulatedObjective.of(WseObjective(gram)))
        for _ in range(2)
    )
    told = []
    tabulate(alone, slots, SETTINGS, on_table=lambda *steps: told.append(steps))
    assert told == [(step, len(slots)) for step in range(1, len(slots) + 1)]
    tabulate(together, slots, SETTINGS.model_copy(update={"workers": 2}))
    assert set(alone.kept) == set(together.kept) == set(slots)
    for slot in slots:
        assert alone.objective(slot) is alone.kept[slot]
        one, other = (problem.kept[slot].group_errors for problem in (alone, together))
        np.testing.assert_array_equal(one, other)
    before = dict(alone.kept)
    tabulate(alone, slots, SETTINGS)
    assert alone.kept == before


def test_wse_and_many_heads_are_not_tabulated(make_gram, make_problem):
    for problem in (make_problem([make_gram(8)]), make_problem([make_gram(14)], Diameters)):
        tabulate(problem, slots_of(1, apart=False), SETTINGS)
        assert problem.kept == {}


def test_the_bound_of_few_heads_is_their_optimum(make_gram, make_problem):
    problem = make_problem([make_gram(6, seed) for seed in range(2)], Diameters)
    bound, head = lower_bound(problem, SETTINGS), problem.spec.head_bits
    best = [TabulatedObjective.of(Diameters(make_gram(6, seed))).bound() for seed in range(2)]
    assert bound.at(4 * head) == pytest.approx(best[0][0] + best[1][0])
    assert bound.at(24 * head) == 0
