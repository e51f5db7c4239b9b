"""Whole searches: presets, calibration, fronts of several fitnesses in one result."""

from dataclasses import replace

import numpy as np
import pytest

from qcqa.errors import SettingsError
from qcqa.pick.plan import plan_of_result
from qcqa.plan.plan import CalibrationText
from qcqa.reduce.bits.choice import Bits
from qcqa.search.method_sets import (
    all_searched,
    beyond_heads,
    calibration_of,
    that_reduce,
    with_baselines,
)
from qcqa.search.methods import METHODS
from qcqa.search.presets import PRESETS, preset_named
from qcqa.search.result import ResultFolder
from qcqa.search.search import search_model
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.options import ExactOptions, TwoStageOptions
from qcqa.search.strategy.problem import Problem, wse_problem

SETTINGS = SearchSettings(
    two_stage=TwoStageOptions(population_size=16, generations=5, stage2_generations=10),
    exact=ExactOptions(restarts=1),
    workers=1,
)


class _Calibrated:
    """Makes problems with a made-up loss, and remembers what was asked."""

    def __init__(self):
        self.asked = []

    text = CalibrationText("some.txt", "digest", 512, 1024)

    def read(self, on_layer):
        on_layer(1, 1)
        return self.text

    def problem(self, grams, settings):
        self.asked.append((settings.judged_by, settings.merge))

        def rise(layer, choice):
            lost = 24.0 - choice.picture(12).num_stored_heads
            bits = [one for site in choice.sites for one in site if isinstance(one, Bits)]
            return lost + layer + sum(1 / one.rungs[0][0] for one in bits)

        def rescore(layer, choices):
            return np.array([rise(layer, choice) for choice in choices])

        return Problem(
            grams,
            wse_problem(grams).make_objective,
            fitness=settings.judged_by,
            rescore=rescore if settings.judged_by == "loss" else None,
        )


def test_methods_that_are_added_are_searched_too(monkeypatch):
    assert set(all_searched()) == METHODS.keys() - {"mha", "gqa", "mqa"}
    monkeypatch.setitem(METHODS, "new", replace(METHODS["bits"], name="new", reductions=("new",)))
    assert all_searched()[-1] == beyond_heads()[-1] == PRESETS["best"].methods[-1] == "new"
    assert with_baselines(["new", "optimal"]) == ("mha", "gqa", "mqa", "optimal", "new")
    assert that_reduce([], ["new"]) == ("new",)


def test_presets_are_what_they_are_called():
    asked = SearchSettings(seed=3, fitness="loss", apart=True, merge="svd", refit=True)
    for name, preset in PRESETS.items():
        assert preset.name == name
        assert preset.description.endswith(".")
        assert set(preset.methods) <= set(METHODS)
        measured = SearchSettings(seed=3, stage2_fitness="loss")
        assert preset.asked(asked, has_text=True) == (preset.methods, measured)
        without, settings = preset.asked(asked, has_text=False)
        assert settings == SearchSettings(seed=3)
        assert without[:3] == ("optimal", "qcqa-ac-wse", "qcqa-ec-wse")
    assert "best" not in PRESETS["paper"].methods
    others = [name for name in beyond_heads() if METHODS[name].in_presets]
    assert PRESETS["best"].methods == (*PRESETS["paper"].methods, "best", *others)
    with pytest.raises(SettingsError, match="'quick'; expected one of paper, best"):
        preset_named("quick")


def test_a_fitness_that_no_method_heeds_is_refused_in_the_library():
    settings = SETTINGS.model_copy(update={"fitness": "loss"})
    with pytest.raises(SettingsError, match="QCQA-EC by WSE, which would not heed it"):
        # the model is not even looked for
        search_model("nowhere", methods=["qcqa-ec-wse"], settings=settings)


@pytest.mark.parametrize(
    ("methods", "fitness", "says"),
    [
        (["best"], "wse", "Best heads by loss"),
        (["bits-4"], "wse", "4 bits by loss"),
        (["optimal"], "output-error", "MHA by output-error"),
        (["qcqa-ac"], "loss", "MHA by loss"),
    ],
)
def test_without_calibration_only_weights_can_be_looked_at(methods, fitness, says, tmp_path):
    settings = SETTINGS.model_copy(update={"fitness": fitness})
    with pytest.raises(SettingsError, match=f"{says} needs a calibration text") as refusal:
        # the model is not even looked for
        search_model("nowhere", methods=methods, settings=settings)
    assert "\n" not in str(refusal.value)
    wanted = with_baselines(methods)
    with pytest.raises(SettingsError, match="needs a calibration text"):
        calibration_of("nowhere", None, methods=wanted, settings=settings)
    assert calibration_of("demo", None, methods=wanted, settings=settings) == "demo"
    with pytest.raises(SettingsError, match="expected a file"):
        calibration_of("nowhere", str(tmp_path / "no.txt"), methods=wanted, settings=settings)
    text = tmp_path / "some.txt"
    text.write_text("words")
    found = calibration_of("nowhere", str(text), methods=wanted, settings=settings)
    assert found == str(text.resolve())


def test_the_preset_best_shows_both_fronts_and_its_plan_is_the_best_one(tiny_llama, tmp_path):
    calibrated = _Calibrated()
    methods, settings = PRESETS["best"].asked(SETTINGS, has_text=True)
    result = search_model(
        str(tiny_llama),
        methods=methods,
        settings=settings,
        folder=tmp_path,
        calibrated=calibrated,
    )
    # As published, heads that share subspaces, and bits.
    assert calibrated.asked == [("loss", "mean"), ("loss", "svd"), ("loss", "mean")]
    assert {name: front.fitness for name, front in result.fronts.items()} == {
        name: "wse" if name == "optimal" else "loss" for name in ("mha", "gqa", "mqa", *methods)
    }
    half = result.spec.kv_bits // 2
    plan = plan_of_result(result, half, method="best")
    assert (plan.merge, plan.refit) == ("svd", True)
    assert plan.calibration == calibrated.text
    assert plan_of_result(result, half, method="gqa").calibration is None
    assert plan.predicted.wse_lower_bound is None  # it is of plans that group alike
    assert plan_of_result(result, half, method="gqa").predicted.wse_lower_bound is not None

    kept = ResultFolder(tmp_path).result()
    assert kept.calibration == calibrated.text
    for name in result.fronts:
        np.testing.assert_array_equal(kept.wse(name), result.wse(name))
        assert len(kept.wse(name)) == len(kept.front(name))
    np.testing.assert_array_equal(kept.wse("optimal"), kept.front("optimal").error)


def test_output_error_has_a_bound_of_its_own_beside_that_of_wse(tiny_llama, tmp_path):
    settings = SETTINGS.model_copy(update={"fitness": "output-error", "apart": True})
    result = search_model(
        str(tiny_llama),
        methods=("optimal",),
        settings=settings,
        folder=tmp_path,
        calibrated=_Calibrated(),
    )
    assert (result.bound.fitness, result.error_bound.fitness) == ("wse", "output-error")
    said = plan_of_result(result, result.spec.kv_bits // 2, method="optimal").predicted
    assert said.error == pytest.approx(said.error_lower_bound)
    assert said.relative_error == pytest.approx(said.relative_wse)
    kept = ResultFolder(tmp_path).result()
    np.testing.assert_array_equal(kept.error_bound.error, result.error_bound.error)


def test_keys_and_values_apart_by_weights_alone(tiny_llama):
    alike, apart = (
        search_model(
            str(tiny_llama),
            methods=("optimal",),
            settings=SETTINGS.model_copy(update={"apart": apart}),
        )
        for apart in (False, True)
    )
    for heads in (12, 33, 48):
        budget = heads * alike.spec.head_bits
        plans = [plan_of_result(result, budget, method="optimal") for result in (alike, apart)]
        assert plans[1].predicted.wse <= plans[0].predicted.wse + 1e-9
        assert plans[1].predicted.wse == pytest.approx(plans[1].predicted.wse_lower_bound)
