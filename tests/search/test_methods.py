"""Every method's front on the same models, against each other and against the bound."""

import itertools

import numpy as np
import pytest

from qcqa.errors import SettingsError
from qcqa.reduce.groups.gram import ModelGrams
from qcqa.reduce.groups.grouping import Grouping, LayerGrouping
from qcqa.reduce.groups.wse import grouping_wse
from qcqa.search.methods import METHODS, run_method
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.optimal import lower_bound
from qcqa.search.strategy.options import ExactOptions, TwoStageOptions
from qcqa.search.strategy.pareto import hypervolume
from qcqa.search.strategy.problem import wse_problem

SETTINGS = SearchSettings(
    two_stage=TwoStageOptions(
        population_size=40, generations=40, stage2_population_size=60, stage2_generations=80
    ),
    exact=ExactOptions(restarts=6),
    workers=1,
    seed=1,
)
#: The others are never by WSE; test_loss.py has them.
BY_WSE = [name for name, one in METHODS.items() if one.settings(SETTINGS).judged_by == "wse"]
SHAPES = {"8 heads": (3, 8), "16 heads": (4, 16)}


def _with_stages(**changes):
    two_stage = SETTINGS.two_stage.model_copy(update=changes)
    return SETTINGS.model_copy(update={"two_stage": two_stage})


@pytest.fixture(scope="module", params=SHAPES)
def grams(request, make_grams) -> ModelGrams:
    return make_grams(*SHAPES[request.param])


@pytest.fixture(scope="module")
def fronts(grams):
    return {name: run_method(name, wse_problem(grams), SETTINGS) for name in BY_WSE}


def _groupings(front, plan):
    num_heads = front.layers[0].num_heads
    return [LayerGrouping.of(layer, num_heads) for layer in front.plan_layers(plan)]


def _volume(front, grams):
    source = grams.spec.kv_bits
    return hypervolume(front.cost, front.error, max_cost=source, max_error=grams.trace)


def test_the_registry_describes_its_methods():
    groups = ["qcqa-ac", "qcqa-ec", "qcqa-ac-wse", "qcqa-ec-wse", "optimal", "best"]
    bits = ["bits-8", "bits-4", "bits-2", "staircase", "bits", "heads-bits"]
    maps = ["latents", "head-dims", "everything"]
    assert list(METHODS) == ["mha", "gqa", "mqa", *groups, *bits, *maps]
    searched = [*groups, "bits", "heads-bits", *maps]
    assert [name for name, method in METHODS.items() if method.needs_search] == searched
    for name, method in METHODS.items():
        assert method.name == name
        assert method.label
        assert method.description.endswith(".")
        assert len({other.label for other in METHODS.values()}) == len(METHODS)


def test_an_unknown_method_is_refused(grams):
    with pytest.raises(SettingsError, match=r"'magic'.*qcqa-ac"):
        run_method("magic", wse_problem(grams), SETTINGS)


@pytest.mark.parametrize("name", BY_WSE)
def test_a_front_is_sorted_and_its_errors_are_those_of_its_groupings(name, fronts, grams):
    front = fronts[name]
    assert front.method == name
    assert (np.diff(front.cost) > 0).all()
    assert (np.diff(front.error) < 0).all()
    for index in {0, len(front) // 2, len(front) - 1}:
        groupings = _groupings(front, index)
        heads = sum(layer.key.num_groups + layer.value.num_groups for layer in groupings)
        assert heads * grams.spec.head_bits == front.cost[index]
        error = sum(
            grouping_wse(gram.total, layer.key)
            for gram, layer in zip(grams, groupings, strict=True)
        )
        assert error == pytest.approx(front.error[index], rel=1e-9, abs=1e-9)
        assert all(layer.key == layer.value for layer in groupings)


@pytest.mark.parametrize("name", [name for name in BY_WSE if name != "mqa"])
def test_fronts_end_at_the_source_itself(name, fronts, grams):
    assert fronts[name].cost[-1] == grams.spec.kv_bits
    assert fronts[name].error[-1] == 0


def test_the_baselines_are_what_they_are_called(fronts, grams):
    num_layers, num_heads = grams.spec.num_layers, grams.spec.num_kv_heads
    per_count = 2 * num_layers * grams.spec.head_bits
    assert len(fronts["mha"]) == len(fronts["mqa"]) == 1
    assert fronts["mqa"].cost.tolist() == [per_count]
    counts = [count for count in range(1, num_heads + 1) if num_heads % count == 0]
    assert fronts["gqa"].cost.tolist() == [per_count * count for count in counts]
    for index, count in enumerate(counts):
        for layer in _groupings(fronts["gqa"], index):
            assert layer.key == Grouping.contiguous(num_heads, count)


@pytest.mark.parametrize("name", BY_WSE)
def test_no_front_lies_below_the_bound(name, fronts, grams):
    bound = lower_bound(wse_problem(grams), SETTINGS)
    for cost, error in zip(fronts[name].cost, fronts[name].error, strict=True):
        assert error >= bound.at(int(cost)) - 1e-12 * grams.trace


@pytest.mark.parametrize("name", BY_WSE)
def test_no_front_beats_the_optimal_one(name, fronts, grams):
    optimal = fronts["optimal"]
    for cost, error in zip(fronts[name].cost, fronts[name].error, strict=True):
        assert error >= optimal.error[optimal.within(int(cost))] - 1e-12 * grams.trace


@pytest.mark.parametrize("name", ["qcqa-ac", "qcqa-ec", "optimal"])
def test_no_searched_front_loses_to_gqa(name, fronts, grams):
    for cost, error in zip(fronts["gqa"].cost, fronts["gqa"].error, strict=True):
        found = fronts[name]
        assert found.error[found.within(int(cost))] <= error + 1e-12 * grams.trace


def test_nsga2_comes_close_to_the_optimal_front(fronts, grams):
    """Distance that is stated: 3% of the hypervolume for QCQA-AC with these small settings."""
    optimum = _volume(fronts["optimal"], grams)
    assert optimum * 0.97 < _volume(fronts["qcqa-ac"], grams) <= optimum * (1 + 1e-12)
    assert _volume(fronts["qcqa-ec"], grams) > _volume(fronts["gqa"], grams)


def test_groups_of_equal_cardinality_have_it(fronts):
    front = fronts["qcqa-ec"]
    for index in range(0, len(front), 7):
        for layer in _groupings(front, index):
            assert len({*map(len, layer.key.groups)}) == 1


def test_few_heads_are_proven_optimal(make_grams):
    """All plans of two layers of four heads: 15 partitions each."""
    grams = make_grams(2, 4)
    front, bound = (
        run_method("optimal", wse_problem(grams), SETTINGS),
        lower_bound(wse_problem(grams), SETTINGS),
    )
    partitions = {Grouping.from_labels(labels) for labels in itertools.product(range(4), repeat=4)}
    assert len(partitions) == 15
    best: dict[int, float] = {}
    for pair in itertools.product(partitions, repeat=2):
        cost = 2 * grams.spec.head_bits * sum(grouping.num_groups for grouping in pair)
        error = sum(grouping_wse(x.total, g) for x, g in zip(grams, pair, strict=True))
        best[cost] = min(best.get(cost, np.inf), error)
    for cost, error in best.items():
        assert front.error[front.within(cost)] <= error + 1e-9
    for cost, error in zip(front.cost.tolist(), front.error, strict=True):
        assert error == pytest.approx(best[cost], abs=1e-9)
        assert bound.at(cost) == pytest.approx(error, abs=1e-9)


@pytest.mark.parametrize("name", ["qcqa-ac", "qcqa-ec", "optimal"])
def test_planted_clusters_are_found_and_gqa_misses_them(name, make_grams):
    """Twelve heads in three clusters of four, neighbours in different ones."""
    grams = make_grams(2, 12, noise=0.02)
    planted = Grouping.from_labels([head % 3 for head in range(12)])
    settings = _with_stages(population_size=60, generations=80)
    front = run_method(name, wse_problem(grams), settings)
    budget = 2 * 2 * 3 * grams.spec.head_bits
    index = front.within(budget)
    assert all(layer.key == planted for layer in _groupings(front, index))
    gqa = run_method("gqa", wse_problem(grams), SETTINGS)
    assert front.error[index] < 0.05 * gqa.error[gqa.within(budget)]


@pytest.mark.parametrize("name", BY_WSE)
def test_the_same_seed_gives_the_same_front_again(name, grams, fronts):
    again = run_method(name, wse_problem(grams), SETTINGS)
    np.testing.assert_array_equal(again.choices, fronts[name].choices)
    np.testing.assert_array_equal(again.error, fronts[name].error)


def test_another_seed_gives_another_search(make_grams):
    grams = make_grams(3, 16)
    few = _with_stages(generations=5, stage2_generations=5)
    other = few.model_copy(update={"seed": 2})
    one, two = (run_method("qcqa-ac", wse_problem(grams), settings) for settings in (few, other))
    assert one.error.tolist() != two.error.tolist()


@pytest.mark.parametrize(
    "change",
    [
        {"population_size": 10},
        {"generations": 3},
        {"stage2_population_size": 8},
        {"stage2_generations": 2},
        {"crossover_probability": 0.1},
        {"mutation_probability": 0.3},
    ],
)
def test_settings_reach_the_search(change, make_grams):
    grams = make_grams(3, 16)
    few = {"generations": 6, "stage2_generations": 6}
    one = run_method("qcqa-ac", wse_problem(grams), _with_stages(**few))
    two = run_method("qcqa-ac", wse_problem(grams), _with_stages(**few | change))
    assert one.error.tolist() != two.error.tolist()


@pytest.mark.parametrize("name", ["qcqa-ac", "qcqa-ec", "optimal"])
def test_progress_goes_from_nothing_to_all(name, make_grams):
    grams, seen = make_grams(3, 8), []
    run_method(name, wse_problem(grams), SETTINGS, progress=seen.append)
    fractions = [progress.fraction for progress in seen]
    assert fractions == sorted(fractions)
    assert 0 < fractions[0] < fractions[-1] == pytest.approx(1)
    first = [progress for progress in seen if progress.stage == "stage 1"]
    assert [progress.step for progress in first] == [1, 2, 3]
    assert sorted(progress.layer for progress in first) == [0, 1, 2]
    second = [progress.hypervolume for progress in seen if progress.stage == "stage 2"]
    assert (len(second) > 0) == (name != "optimal")
    assert second == sorted(second)
    assert all(0 < progress.hypervolume < 1 for progress in seen)


def test_progress_may_end_a_search_and_it_resumes(make_grams, tmp_path):
    grams = make_grams(3, 8)

    def stop(progress):
        if progress.stage == "stage 2":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_method("qcqa-ac", wse_problem(grams), SETTINGS, progress=stop, scratch=tmp_path)
    assert len(list(tmp_path.glob("layer-*.json"))) == 3
    resumed = run_method("qcqa-ac", wse_problem(grams), SETTINGS, scratch=tmp_path)
    whole = run_method("qcqa-ac", wse_problem(grams), SETTINGS)
    np.testing.assert_array_equal(resumed.choices, whole.choices)
    np.testing.assert_array_equal(resumed.error, whole.error)


@pytest.mark.parametrize("name", BY_WSE)
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1), (1, 5)])
def test_the_smallest_models_work(name, shape, make_grams):
    grams = make_grams(*shape)
    front = run_method(name, wse_problem(grams), SETTINGS)
    assert len(front) >= 1
    assert front.cost[-1] <= grams.spec.kv_bits
