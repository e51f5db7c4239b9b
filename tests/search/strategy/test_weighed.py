"""What a search weighed is kept as a few points of all the plane, and changes nothing of it."""

import itertools

import numpy as np
import pytest

from qcqa.reduce.groups.objective import WseObjective
from qcqa.search.strategy import two_stage
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.encodings import ChoiceGenes
from qcqa.search.strategy.fronts import front_of
from qcqa.search.strategy.nsga2 import nsga2
from qcqa.search.strategy.optimal import optimal_candidates
from qcqa.search.strategy.slots import Slot
from qcqa.search.strategy.stage_one import slot_rng
from qcqa.search.strategy.weighed import Weighed

SETTINGS = SearchSettings(stage2_population_size=40, stage2_generations=60)


@pytest.fixture(scope="module")
def slots(make_gram):
    """Return three layers' candidates: few enough to try all plans."""
    grams = [make_gram(8, layer) for layer in range(3)]
    return [
        optimal_candidates(WseObjective(gram), SETTINGS, Slot(layer))
        for layer, gram in enumerate(grams)
    ]


def _random_plans(rng, size=200):
    cost = rng.integers(1, 1001, size=size)
    return cost, (1 - cost / 1000) + rng.exponential(0.05, size=size).clip(max=0.5)


def test_it_stays_small_however_long_a_search_is():
    rng = np.random.default_rng(0)
    weighed = Weighed(1000, 1.5)
    for _ in range(2000):
        weighed.add(*_random_plans(rng))
    dominated = weighed.dominated_by(np.array([1]), np.array([0.0]))
    assert 200 < len(dominated.cost) == len(dominated.error) < 700


def test_what_is_rare_stays_beside_what_is_dense():
    weighed = Weighed(1000, 1.0)
    rng = np.random.default_rng(0)
    dense = 500 + rng.integers(0, 20, size=5000), 0.5 + 0.01 * rng.random(5000)
    weighed.add(*dense)
    rare = np.array([100, 400, 900, 1000]), np.array([0.9, 1.0, 0.8, 0.3])
    weighed.add(*rare)
    weighed.add(*dense)
    dominated = weighed.dominated_by(np.array([1]), np.array([0.0]))
    found = set(zip(dominated.cost.tolist(), dominated.error.tolist(), strict=True))
    assert set(zip(*(one.tolist() for one in rare), strict=True)) <= found
    assert len(found) < 10


def test_plans_that_nothing_beats_are_not_in_it():
    weighed = Weighed(10, 4.0)
    cost, error = np.array([2, 4, 6, 6, 10, 10]), np.array([4, 2, 2, 2 + 1e-14, 0, 1.0])
    weighed.add(cost, error)
    dominated = weighed.dominated_by(np.array([2, 4, 6, 10]), np.array([4, 2, 2, 0.0]))
    # Equal errors of a larger cache are on the steps of the front.
    assert (dominated.cost.tolist(), dominated.error.tolist()) == ([10], [1.0])


def test_models_without_error_have_nothing_that_is_dominated():
    weighed = Weighed(4, 0.0)
    weighed.add(np.array([2, 4]), np.array([0.0, 0.0]))
    assert len(weighed.dominated_by(np.array([2, 4]), np.array([0.0, 0.0])).cost) == 0


def test_dominated_plans_exist_and_lie_above_the_front(slots):
    choices, dominated = two_stage.over_slots(slots, SETTINGS)
    front = front_of("found", slots, choices, SETTINGS)
    each = np.array(list(itertools.product(*(range(len(slot.cost)) for slot in slots))))
    cost = sum(slot.cost[choice] for slot, choice in zip(slots, each.T, strict=True))
    error = sum(slot.error[choice] for slot, choice in zip(slots, each.T, strict=True))
    assert len(dominated.cost) > 20
    for one, its in zip(dominated.cost, dominated.error, strict=True):
        assert np.isclose(error[cost == one], its, rtol=1e-12, atol=0).any()
    place = np.searchsorted(front.cost, dominated.cost, side="right") - 1
    assert (dominated.error > front.error[place]).all()


def test_the_search_is_the_same_as_without_and_so_is_what_it_keeps(slots):
    choices, dominated = two_stage.over_slots(slots, SETTINGS)
    _, again = two_stage.over_slots(slots, SETTINGS)
    np.testing.assert_array_equal(again.cost, dominated.cost)
    np.testing.assert_array_equal(again.error, dominated.error)

    def evaluate(genes):
        cost = sum(slot.cost[gene] for slot, gene in zip(slots, genes.T, strict=True))
        rows = np.stack([slot.error[gene] for slot, gene in zip(slots, genes.T, strict=True)], 1)
        return cost, rows.sum(axis=1)

    archive = nsga2(
        ChoiceGenes([slot.cost for slot in slots]),
        evaluate,
        max_cost=48,
        population_size=SETTINGS.stage2_population_size,
        generations=SETTINGS.stage2_generations,
        crossover_probability=SETTINGS.crossover_probability,
        mutation_probability=SETTINGS.mutation_probability,
        rng=slot_rng(SETTINGS, Slot(0), stage=2),
    )
    np.testing.assert_array_equal(archive.genes, choices)
