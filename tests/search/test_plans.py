import json

import pytest

from qcqa.errors import BudgetError
from qcqa.plan.file import load_plan, save_plan
from qcqa.search.methods import run_method
from qcqa.search.plans import best_plan
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.optimal import lower_bound
from qcqa.search.strategy.problem import wse_problem

SETTINGS = SearchSettings(seed=4, workers=2)


@pytest.fixture(scope="module")
def grams(make_grams):
    return make_grams(2, 8)


@pytest.fixture(scope="module")
def front(grams):
    return run_method("optimal", wse_problem(grams), SETTINGS)


def test_a_plan_says_what_it_costs_and_where_it_came_from(front, grams, tmp_path):
    bound = lower_bound(wse_problem(grams), SETTINGS)
    plan = best_plan(
        front,
        grams,
        int(front.cost[3]),
        settings=SETTINGS,
        bound=bound,
        provenance={"run": "some-run"},
    )
    assert plan.kv_bits == front.cost[3]
    assert plan.layers == front.plan_layers(3)
    assert plan.predicted.wse == front.error[3]
    assert plan.predicted.relative_wse == pytest.approx(front.error[3] / grams.trace)
    assert plan.predicted.wse_lower_bound == bound.at(int(front.cost[3]))
    assert plan.provenance["settings"]["seed"] == 4
    assert "workers" not in plan.provenance["settings"]
    assert plan.provenance["run"] == "some-run"
    assert {"numpy", "pymoo"} <= set(plan.provenance["versions"])
    json.dumps(plan.provenance)
    save_plan(plan, tmp_path / "plan.json")
    assert load_plan(tmp_path / "plan.json") == plan


def test_the_best_plan_uses_the_budget(front, grams):
    for heads in range(4, 33):
        budget = heads * grams.spec.head_bits
        plan = best_plan(front, grams, budget)
        assert plan.kv_bits <= budget
        assert plan.predicted.wse == min(
            error for cost, error in zip(front.cost, front.error, strict=True) if cost <= budget
        )
    assert best_plan(front, grams, 2 * grams.spec.kv_bits).predicted.wse == 0
    assert best_plan(front, grams, 2 * grams.spec.kv_bits).predicted.wse_lower_bound is None


def test_a_budget_that_nothing_fits_says_what_would(front, grams):
    with pytest.raises(BudgetError, match=r"12\.5 %: the smallest plan of optimal") as refusal:
        best_plan(front, grams, 4 * grams.spec.head_bits - 1)
    assert "\n" not in str(refusal.value)
    mha = run_method("mha", wse_problem(grams), SETTINGS)
    with pytest.raises(BudgetError, match="at least 100 %: the smallest plan of mha"):
        best_plan(mha, grams, grams.spec.kv_bits - 1)
