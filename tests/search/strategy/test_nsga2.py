"""NSGA-II of both stages: its settings take effect, and it comes close to what is optimal."""

import numpy as np
import pytest

from qcqa.reduce.candidates import Slot
from qcqa.reduce.groups.grouping import Grouping
from qcqa.reduce.groups.objective import WseObjective
from qcqa.reduce.groups.search.genes import LabelGenes
from qcqa.reduce.groups.search.table import best_table
from qcqa.reduce.groups.wse import population_wse
from qcqa.search.strategy import two_stage
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.fronts import best_front, front_of
from qcqa.search.strategy.nsga2 import Archive, nsga2
from qcqa.search.strategy.optimal import optimal_candidates
from qcqa.search.strategy.options import ExactOptions, TwoStageOptions
from qcqa.search.strategy.pareto import hypervolume


def _rng():
    return np.random.default_rng(0)


def _run(gram, **changes):
    """Return the sizes of the evaluated populations and the archive."""
    sizes = []

    def evaluate(genes):
        sizes.append(len(genes))
        return genes.max(axis=1) + 1, population_wse(gram, genes)

    told = {
        "max_cost": len(gram),
        "population_size": 30,
        "generations": 6,
        "crossover_probability": 0.9,
        "mutation_probability": None,
        "rng": np.random.default_rng(0),
    }
    return sizes, nsga2(LabelGenes(len(gram)), evaluate, **(told | changes))


def test_population_and_generations_are_what_was_asked(make_gram):
    gram = make_gram(24)
    for size, generations in ((30, 6), (18, 9)):
        sizes, _ = _run(gram, population_size=size, generations=generations)
        assert len(sizes) == generations
        assert max(sizes) == size
        # less where equal groupings were dropped
        assert np.mean(sizes) > 0.95 * size


def test_generations_are_reported(make_gram):
    reported = []
    _run(make_gram(24), on_generation=lambda generation, _: reported.append(generation))
    assert reported == [1, 2, 3, 4, 5, 6]


def test_a_small_space_ends_early_and_says_so(make_gram):
    reported = []
    sizes, archive = _run(
        make_gram(3),
        generations=50,
        on_generation=lambda generation, _: reported.append(generation),
    )
    assert len(sizes) < 50
    assert sum(sizes) == 5  # partitions of three heads
    assert reported[-1] == 50
    assert archive.cost.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    "change",
    [
        {"rng": np.random.default_rng(1)},
        {"crossover_probability": 0.0},
        {"mutation_probability": 0.5},
        {"population_size": 20},
        {"generations": 3},
    ],
)
def test_every_setting_has_an_effect_and_none_means_the_same_again(change, make_gram):
    gram = make_gram(24)
    _, one = _run(gram)
    _, same = _run(gram)
    _, other = _run(gram, **change)
    np.testing.assert_array_equal(one.genes, same.genes)
    assert not np.array_equal(one.error, other.error)


def test_without_crossover_and_mutation_nothing_new_comes(make_gram):
    sizes, _ = _run(make_gram(24), crossover_probability=0.0, mutation_probability=0.0)
    assert len(sizes) == 1


def test_the_archive_keeps_the_best_of_every_cost():
    archive = Archive(max_cost=5, num_genes=1)
    archive.add(np.array([[1], [2], [3]]), np.array([2, 2, 4]), np.array([5.0, 4.0, 1.0]))
    archive.add(np.array([[4], [5]]), np.array([2, 5]), np.array([4.5, 0.0]))
    assert archive.cost.tolist() == [2, 4, 5]
    assert archive.error.tolist() == [4, 1, 0]
    assert archive.genes.tolist() == [[2], [3], [5]]


@pytest.mark.parametrize("num_heads", [6, 8])
def test_stage_one_finds_the_optimum_of_a_few_heads(num_heads, make_gram):
    gram = make_gram(num_heads, 3)
    options = TwoStageOptions(population_size=60, generations=40)
    found = two_stage.arbitrary_cardinality(WseObjective(gram), options, Slot(0), _rng())
    best = best_table(WseObjective(gram), restarts=0, rng=np.random.default_rng(0))
    np.testing.assert_allclose(found.error, best.error, atol=1e-12 * np.trace(gram))


def test_stage_one_never_beats_the_optimal_table_and_comes_close(make_gram):
    """Distance that is stated: 3% of the hypervolume, 3% of the trace at any group count."""
    gram = make_gram(32, 0)
    objective, slot = WseObjective(gram), Slot(0)
    found = two_stage.arbitrary_cardinality(objective, TwoStageOptions(), slot, _rng())
    best = optimal_candidates(objective, ExactOptions(), slot, _rng())
    excess = (found.error - best.error[found.num_groups - 1]) / np.trace(gram)
    assert excess.min() > -1e-12
    assert excess.max() < 0.03
    box = {"max_cost": 64, "max_error": float(np.trace(gram))}
    volumes = [hypervolume(layer.num_stored_heads, layer.error, **box) for layer in (found, best)]
    assert 1 - volumes[0] / volumes[1] < 0.03


def test_equal_cardinality_yields_groups_of_one_size_no_worse_than_gqa(make_gram):
    gram = make_gram(12, 1)
    options = TwoStageOptions(population_size=40, generations=30)
    found = two_stage.equal_cardinality(WseObjective(gram), options, Slot(0), _rng())
    groupings = [Grouping.from_labels(row) for row in found.labels]
    assert [grouping.num_groups for grouping in groupings] == [1, 2, 3, 4, 6, 12]
    assert all(len({*map(len, grouping.groups)}) == 1 for grouping in groupings)
    blocks = np.array([Grouping.contiguous(12, count).labels for count in (1, 2, 3, 4, 6, 12)])
    assert (found.error <= population_wse(gram, blocks) + 1e-9).all()


def test_stage_two_comes_close_to_the_exact_allocation_of_its_candidates(make_gram, make_spec):
    """Distance that is stated: 1% of the hypervolume for 16 layers of 16 heads."""
    settings, spec = SearchSettings(), make_spec(16, 16)
    options = TwoStageOptions(stage2_generations=200)
    slots = [
        optimal_candidates(
            WseObjective(make_gram(16, layer, centres=layer / 15)),
            ExactOptions(),
            Slot(layer),
            _rng(),
        ).candidates(spec)
        for layer in range(16)
    ]
    choices = two_stage.over_slots(slots, options, _rng())
    found = front_of("found", slots, choices, settings, 16)
    best = best_front("best", slots, settings, 16)
    box = {"max_cost": spec.kv_bits, "max_error": float(best.error[0])}
    volume = hypervolume(found.cost, found.error, **box)
    optimum = hypervolume(best.cost, best.error, **box)
    assert optimum * 0.99 < volume <= optimum * (1 + 1e-12)
    # plan by plan: nothing lies below the optimal front
    at_most = np.searchsorted(best.cost, found.cost, side="right") - 1
    assert (found.error >= best.error[at_most] - 1e-9).all()
    assert found.error[-1] == 0
    assert found.cost[0] == best.cost[0]
