"""Keys and values grouped alike or apart: what it costs and what it gains."""

import numpy as np
import pytest

from qcqa.progress import silent
from qcqa.reduce.candidates import Slot, slots_of
from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.groups.gram import HeadGram, ModelGrams
from qcqa.reduce.groups.grouping import Grouping
from qcqa.reduce.groups.search.candidates import GroupCandidates
from qcqa.reduce.groups.wse import choices_wse, population_wse
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.fronts import front_of
from qcqa.search.strategy.optimal import lower_bound, optimal_front
from qcqa.search.strategy.options import ExactOptions, TwoStageOptions
from qcqa.search.strategy.problem import wse_problem
from qcqa.search.strategy.two_stage import arbitrary_cardinality, two_stage

ALIKE = SearchSettings(
    two_stage=TwoStageOptions(population_size=40, generations=40, stage2_generations=200),
    exact=ExactOptions(restarts=2),
    workers=1,
)
APART = ALIKE.model_copy(update={"apart": True})


@pytest.fixture(params=[4, 14])
def problem(request, make_gram, make_problem):
    spec = make_problem([make_gram(request.param)] * 3).spec
    layers = tuple(
        HeadGram(make_gram(request.param, 2 * n), make_gram(request.param, 2 * n + 1, centres=2))
        for n in range(3)
    )
    return wse_problem(ModelGrams(spec=spec, fingerprint="0" * 16, layers=layers))


def _optimal(problem, settings):
    options = settings.exact
    return optimal_front("optimal", problem, settings, options, on_progress=silent, scratch=None)


def test_a_layer_has_one_slot_or_two():
    assert slots_of(2, apart=False) == (Slot(0), Slot(1))
    assert slots_of(1, apart=True) == (Slot(0, "key"), Slot(0, "value"))


def test_a_group_of_both_costs_two_heads_and_leaves_what_is_not_its_own(make_spec):
    labels, pair = np.array([[0, 0, 1], [0, 1, 2]]), Grouping.from_labels([0, 0, 1])
    spec = make_spec(1, 3)
    for kind, unit in (("shared", 2), ("key", 1), ("value", 1)):
        candidates = GroupCandidates(Slot(0, kind), labels, np.array([1.0, 0.0]), 2.0)
        assert candidates.num_stored_heads.tolist() == [2 * unit, 3 * unit]
        cost = candidates.candidates(spec).cost
        assert cost.tolist() == [2 * unit * spec.head_bits, 3 * unit * spec.head_bits]
    assert Slot(0, "key").choice((pair,)) == LayerChoice(key=(pair,))
    assert Slot(0, "value").choice((pair,)) == LayerChoice(value=(pair,))
    assert Slot(0).choice((pair,)) == LayerChoice(key=(pair,), value=(pair,))


def test_a_layers_candidates_are_the_pairs_that_plans_use(make_spec):
    labels = np.array([[0, 0, 0], [0, 0, 1], [0, 1, 2]])
    key = GroupCandidates(Slot(0, "key"), labels, np.array([5.0, 2, 0]), 9.0)
    value = GroupCandidates(Slot(0, "value"), labels, np.array([1.0, 0.5, 0]), 3.0)
    plans = np.array([[2, 2], [1, 0], [0, 0], [1, 0]])
    spec = make_spec(1, 3)
    slots = [one.candidates(spec) for one in (key, value)]
    front = front_of("some", slots, plans, APART, 3)
    assert front.cost.tolist() == [2 * spec.head_bits, 3 * spec.head_bits, spec.kv_bits]
    assert front.error.tolist() == [6, 3, 0]
    assert front.total == 12
    assert front.apart
    assert len(front.layers[0].error) == 3
    layer = front.plan_layers(1)[0].picture(3)
    assert (layer.key.reads, layer.value.reads) == ((0, 0, 1), (0, 0, 0))


def test_apart_is_never_worse_than_alike_and_reaches_odd_costs(problem):
    alike, apart = _optimal(problem, ALIKE), _optimal(problem, APART)
    for cost, error in zip(alike.cost.tolist(), alike.error, strict=True):
        assert apart.error[apart.within(cost)] <= error + 1e-9
    head = problem.spec.head_bits
    assert apart.error[apart.within(20 * head)] < 0.95 * alike.error[alike.within(20 * head)]
    assert any(cost // head % 2 for cost in apart.cost.tolist())
    bound = lower_bound(problem, APART)
    assert bound.apart
    assert all(e >= bound.at(int(c)) - 1e-9 for c, e in zip(apart.cost, apart.error, strict=True))


@pytest.mark.parametrize("settings", [ALIKE, APART])
def test_errors_are_those_of_the_groupings_and_the_paper_s_search_comes_close(problem, settings):
    best = _optimal(problem, settings)
    found = two_stage(
        "qcqa-ac",
        arbitrary_cardinality,
        problem,
        settings,
        settings.two_stage,
        on_progress=silent,
        scratch=None,
    )
    for front in (best, found):
        assert (np.diff(front.cost) > 0).all()
        assert (np.diff(front.error) < 0).all()
        assert front.cost[-1] == problem.spec.kv_bits
        for index in {0, len(front) // 3, len(front) - 1}:
            error = sum(
                choices_wse(gram, [layer])[0]
                for gram, layer in zip(problem.grams, front.plan_layers(index), strict=True)
            )
            assert error == pytest.approx(front.error[index], rel=1e-9, abs=1e-9)
    for cost, error in zip(found.cost.tolist(), found.error, strict=True):
        assert error >= best.error[best.within(cost)] - 1e-9
    middle = problem.spec.kv_bits // 2
    assert found.error[found.within(middle)] < 1.1 * best.error[best.within(middle)]


def test_a_few_heads_apart_are_optimal(make_gram, make_problem, all_partitions):
    spec = make_problem([make_gram(4)]).spec
    grams = ModelGrams(spec, "0" * 16, (HeadGram(make_gram(4, 1), make_gram(4, 2)),))
    front = _optimal(wse_problem(grams), APART)
    every = all_partitions(4)
    key, value = (
        population_wse(gram, every) for gram in (grams.layers[0].key, grams.layers[0].value)
    )
    cost = every.max(axis=1)[:, None] + every.max(axis=1) + 2
    error = key[:, None] + value
    for total in range(2, 9):
        assert front.error[front.within(total * spec.head_bits)] == pytest.approx(
            error[cost <= total].min(), abs=1e-9
        )
