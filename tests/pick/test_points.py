"""Points of a search: which plans an evaluation measures."""

import pytest

from qcqa.errors import BudgetError
from qcqa.jobs.run import open_run
from qcqa.packaged import demo_run_folder
from qcqa.pick.points import plans_of_points, points_along, points_at, points_to_compare
from qcqa.search.result import SearchResult

#: Bits per token of one head of the demo model: 32 elements of 16 bits.
HEAD = 512


@pytest.fixture(scope="module")
def result() -> SearchResult:
    folder = demo_run_folder()
    assert folder is not None
    return open_run(folder).result()


def test_all_methods_at_a_budget_without_the_source(result: SearchResult) -> None:
    points = points_at(result, 48 * HEAD)
    assert {method for method, _ in points} == {
        "gqa",
        "mqa",
        "optimal",
        "qcqa-ac",
        "qcqa-ec",
        "best",
        "bits",
        "bits-2",
        "bits-4",
        "heads-bits",
        "staircase",
    }
    assert {bits for _, bits in points} == {48 * HEAD}
    assert points_at(result, 12 * HEAD, methods=["optimal"]) == (("optimal", 12 * HEAD),)
    # Less than one head a layer is left to fewer bits.
    assert {method for method, _ in points_at(result, 12 * HEAD - 1)} == {"heads-bits"}
    with pytest.raises(BudgetError, match="method 'magic'"):
        points_at(result, 48 * HEAD, methods=["magic"])


def test_the_same_plan_of_two_budgets_comes_once(result: SearchResult) -> None:
    points = points_along(result, [0.5, 0.75, 0.25, 0.5], methods=["mqa", "gqa"])
    # MQA has one plan; GQA none between half and all of the heads.
    found = sorted((method, bits // HEAD) for method, bits in points)
    assert found == [("gqa", 24), ("gqa", 48), ("mqa", 24)]
    assert [bits for _, bits in points] == [48 * HEAD, 24 * HEAD, 24 * HEAD]
    with pytest.raises(BudgetError, match="KV ratio 2"):
        points_along(result, [2.0])


def test_plans_come_from_the_largest_and_each_once(result: SearchResult) -> None:
    heads = (("mqa", 24), ("gqa", 60), ("gqa", 48), ("mha", 96), ("optimal", 96))
    points = tuple((method, count * HEAD) for method, count in heads)
    plans = plans_of_points(result, points)
    found = [(plan.method, plan.kv_ratio) for plan in plans]
    assert found == [("optimal", 1.0), ("gqa", 0.5), ("mqa", 0.125)]
    with pytest.raises(BudgetError, match="the smallest plan of mqa"):
        plans_of_points(result, (("mqa", 3 * HEAD),))


def test_what_is_worth_comparing_is_the_recommended_plan_and_gqa(result: SearchResult) -> None:
    assert points_to_compare(result, 48 * HEAD, "best") == (("best", 48 * HEAD), ("gqa", 48 * HEAD))
    assert points_to_compare(result, 48 * HEAD, "gqa") == (("gqa", 48 * HEAD),)
