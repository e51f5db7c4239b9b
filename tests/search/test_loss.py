"""Fitness by measured loss: here a made-up loss that is quick and always the same."""

from dataclasses import replace

import numpy as np
import pytest

from qcqa.errors import SettingsError
from qcqa.plan.file import plan_from_json, plan_to_json
from qcqa.plan.plan import CalibrationText
from qcqa.reduce.bits.choice import Bits
from qcqa.reduce.bits.options import BitsOptions
from qcqa.reduce.groups.grouping import LayerGrouping
from qcqa.reduce.groups.wse import grouping_wse
from qcqa.search.front_wse import front_wse
from qcqa.search.methods import METHODS, run_method
from qcqa.search.plans import best_plan
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.options import ExactOptions, TwoStageOptions
from qcqa.search.strategy.problem import Problem, wse_problem

SETTINGS = SearchSettings(
    two_stage=TwoStageOptions(population_size=40, generations=30, stage2_generations=60),
    exact=ExactOptions(restarts=1),
    workers=1,
    fitness="loss",
    merge="svd",
)


def _groupings(front, plan):
    num_heads = front.layers[0].num_heads
    return [LayerGrouping.of(layer, num_heads) for layer in front.plan_layers(plan)]


@pytest.fixture
def grams(make_grams):
    return make_grams(3, 8)


@pytest.fixture
def half(grams):
    """Return half of the source's bits per token."""
    return grams.spec.kv_bits // 2


@pytest.fixture
def rise():
    """Return what a layer's choice costs: values less than keys, the first layer most."""

    def of_layer(layer, choice):
        grouping = LayerGrouping.of(choice, 8)
        key, value = (8 - part.num_groups for part in (grouping.key, grouping.value))
        key_bits, value_bits = (
            sum(30 / 4 ** one.rungs[0][0] for one in site if isinstance(one, Bits))
            for site in choice.sites
        )
        return (key**2 + key_bits + 0.2 * (value**2 + value_bits)) / (1 + layer)

    return of_layer


@pytest.fixture
def problem(grams, rise):
    def rescore(layer, choices):
        return np.array([rise(layer, choice) for choice in choices])

    return Problem(grams, wse_problem(grams).make_objective, fitness="loss", rescore=rescore)


@pytest.mark.parametrize(
    "name", [name for name in METHODS if not name.endswith("-wse") and name != "staircase"]
)
def test_every_front_is_by_measured_loss(name, problem, rise):
    front = run_method(name, problem, SETTINGS)
    merge = METHODS[name].insists.get("merge", "svd")
    assert (front.method, front.fitness, front.merge, front.total) == (name, "loss", merge, None)
    assert (np.diff(front.error) < 0).all()
    for index in range(len(front)):
        summed = sum(rise(layer, choice) for layer, choice in enumerate(front.plan_layers(index)))
        assert front.error[index] == pytest.approx(summed)


def test_a_staircase_loses_what_its_rungs_do_by_the_tokens_on_each(problem):
    front = run_method("staircase", problem, SETTINGS)
    sites = [site for layer in front.plan_layers(0) for site in layer.sites]
    assert [one.rungs for site in sites for one in site] == [((8, 4), (4, 28), (2, None))] * 6
    # Of 127 blocks of 32 tokens beyond the window, in a context of 4096.
    rungs = {8: 4, 4: 28, 2: 95}
    losses = [
        blocks / 127 * run_method(f"bits-{width}", problem, SETTINGS).error[0]
        for width, blocks in rungs.items()
    ]
    assert front.error[0] == pytest.approx(sum(losses))


@pytest.mark.parametrize("name", ["bits-4", "staircase", "bits", "heads-bits"])
def test_bits_are_measured_and_kept_as_they_were_asked_for(name, problem):
    settings = SETTINGS.model_copy(update={"bits": BitsOptions(group=64, rotate=True)})
    asked = []

    def rescore(layer, choices):
        asked.extend(choices)
        return problem.rescore(layer, choices)

    front = run_method(name, replace(problem, rescore=rescore), settings)
    every = [*asked, *(one for layer in front.layers for one in layer.choices)]
    packed = [one for choice in every for one in choice.key if isinstance(one, Bits)]
    assert {(one.group, one.block, one.is_rotated) for one in packed} == {(64, 64, True)}
    usual = run_method(name, problem, SETTINGS)
    assert front.cost[0] < usual.cost[0]


def test_a_front_of_bits_has_the_plans_of_one_number_of_bits_and_never_loses_to_them(problem):
    best = run_method("bits", problem, SETTINGS)
    for name in ("bits-8", "bits-4", "bits-2"):
        alike = run_method(name, problem, SETTINGS)
        assert best.error[best.within(int(alike.cost[0]))] <= alike.error[0] + 1e-12
    assert best.cost[-1] == problem.spec.kv_bits
    assert best.error[-1] == 0


def test_heads_and_bits_together_never_lose_to_either(problem):
    fronts = {name: run_method(name, problem, SETTINGS) for name in ("best", "bits", "heads-bits")}
    both = fronts.pop("heads-bits")
    for front in fronts.values():
        for cost, error in zip(front.cost.tolist(), front.error, strict=True):
            assert both.error[both.within(cost)] <= error + 1e-12
    assert both.cost[0] < min(front.cost[0] for front in fronts.values())
    assert (both.apart, both.refit, both.merge) == (True, True, "svd")
    for plan in (0, len(both) // 2):
        layers = both.plan_layers(plan)
        assert sum(layer.bits_per_token(problem.spec) for layer in layers) == both.cost[plan]


@pytest.mark.parametrize("name", ["gqa", "qcqa-ac", "qcqa-ec"])
def test_the_second_stage_measures_what_weights_have_grouped(name, problem, grams, rise, half):
    settings = SETTINGS.model_copy(update={"fitness": "wse", "stage2_fitness": "loss"})
    front = run_method(name, problem, settings)
    assert front.fitness == "loss"
    for index in range(len(front)):
        summed = sum(rise(layer, choice) for layer, choice in enumerate(front.plan_layers(index)))
        assert front.error[index] == pytest.approx(summed)
    told = best_plan(front, grams, half, settings=settings).provenance["settings"]
    assert (told["fitness"], told["stage2_fitness"]) == ("wse", "loss")


def test_weights_alone_and_exact_allocation_have_no_measured_second_stage(grams, half):
    settings = SETTINGS.model_copy(update={"fitness": "wse", "stage2_fitness": "loss"})
    for name in ("qcqa-ac-wse", "qcqa-ec-wse", "optimal"):
        front = run_method(name, wse_problem(grams), settings)
        assert (front.method, front.fitness) == (name, "wse")
        told = best_plan(front, grams, half, settings=settings).provenance["settings"]
        assert told["stage2_fitness"] is None


def test_best_insists_on_what_makes_it_best(problem, half):
    front = run_method("best", problem, SETTINGS.model_copy(update={"merge": "mean"}))
    assert (front.apart, front.refit, front.merge, front.fitness) == (True, True, "svd", "loss")
    # values are cheaper to merge, so they are merged more
    layers = _groupings(front, front.within(half))
    assert sum(layer.value.num_groups for layer in layers) < sum(
        layer.key.num_groups for layer in layers
    )
    alike = run_method("optimal", problem, SETTINGS)
    assert front.error[front.within(half)] < alike.error[alike.within(half)]


def test_baselines_stay_as_they_are_where_keys_and_values_are_apart(problem):
    apart = SETTINGS.model_copy(update={"apart": True})
    for name in ("mha", "gqa", "mqa"):
        front = run_method(name, problem, apart)
        assert not front.apart
        assert all(layer.key == layer.value for layer in _groupings(front, 0))
    assert run_method("qcqa-ec", problem, apart).apart


def test_progress_tells_of_the_measuring(problem):
    seen = []
    run_method("qcqa-ac", problem, SETTINGS, progress=seen.append)
    assert [p.step for p in seen if p.stage == "measuring the loss"] == [1, 2, 3]
    fractions = [progress.fraction for progress in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1)


def test_a_problem_of_another_fitness_is_refused(grams):
    with pytest.raises(SettingsError, match="wse for Best heads; expected one of fitness loss"):
        run_method("best", wse_problem(grams), SETTINGS)


def test_a_plan_says_both_its_wse_and_its_loss(problem, grams, half):
    front = run_method("best", problem, SETTINGS)
    text = CalibrationText("text.txt", "0" * 24, 300, 300)
    plan = best_plan(front, grams, half, calibration=text)
    assert (plan.calibration, plan.provenance["calibration"]) == (text, "text.txt")
    index = front.within(half)
    wse = sum(
        grouping_wse(gram.key, layer.key) + grouping_wse(gram.value, layer.value)
        for gram, layer in zip(grams, _groupings(front, index), strict=True)
    )
    assert front_wse(front, grams)[index] == pytest.approx(wse)
    said = plan.predicted
    assert said.wse == pytest.approx(wse)
    assert said.relative_wse == pytest.approx(wse / grams.trace)
    assert (said.fitness, said.error) == ("loss", front.error[index])
    assert said.relative_error is said.error_lower_bound is said.wse_lower_bound is None
    assert (plan.merge, plan.refit) == ("svd", True)
    told = best_plan(front, grams, half, settings=SearchSettings(seed=2)).provenance["settings"]
    assert (told["seed"], told["fitness"], told["merge"]) == (2, "loss", "svd")
    assert (told["apart"], told["refit"]) == (True, True)
    assert plan_from_json(plan_to_json(plan)) == plan


def test_output_error_is_measured_against_its_own_total(grams):
    """An objective of another scale, which the fronts and plans follow."""

    class Tenfold:
        def __init__(self, objective):
            self.inner, self.gram = objective, 10 * objective.gram
            self.num_heads, self.guided_exactly = objective.num_heads, False
            self.total = 10 * objective.total

        def error(self, labels):
            return 10 * self.inner.error(labels)

        def error_of_groups(self, groups):
            return 10 * self.inner.error_of_groups(groups)

        def bound(self):
            return 10 * self.inner.bound()

    by_wse = wse_problem(grams)
    problem = Problem(
        grams, lambda *slot: Tenfold(by_wse.make_objective(*slot)), fitness="output-error"
    )
    settings = SETTINGS.model_copy(update={"fitness": "output-error"})
    for name in ("gqa", "optimal"):
        front = run_method(name, problem, settings)
        plain = run_method(name, by_wse, SETTINGS.model_copy(update={"fitness": "wse"}))
        np.testing.assert_allclose(front.error, 10 * plain.error, atol=1e-6)
        said = best_plan(front, grams, int(front.cost[0])).predicted
        assert said.relative_error == pytest.approx(said.relative_wse)
        assert said.fitness == "output-error"
