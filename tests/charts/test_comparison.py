"""The comparison at a budget agrees with the fronts it is made of."""

from math import inf, isnan

import pytest

from qcqa.charts.fronts.comparison import comparison_table, percent_text, points_at_budget
from qcqa.plan.budget import CacheLoad
from qcqa.search.result import SearchResult

#: Bits per token of one head of the model: 4 elements of 16 bits.
HEAD = 64


def test_every_plan_fits_the_budget_and_is_the_best_that_does(result: SearchResult) -> None:
    for heads in range(49):
        budget = heads * HEAD
        for method, point in points_at_budget(result, budget).items():
            front = result.fronts[method]
            fitting = front.error[front.cost <= budget]
            if point is None:
                assert not len(fitting)
                continue
            assert point.kv_bits <= budget
            assert point.wse == fitting.min()
            assert point.kv_ratio == point.kv_bits / (48 * HEAD)


def test_relative_figures_refer_to_trace_gqa_and_bound(result: SearchResult) -> None:
    points = points_at_budget(result, 24 * HEAD)
    optimal, gqa = points["optimal"], points["gqa"]
    bound = result.bound.at(24 * HEAD)
    assert optimal is not None
    assert gqa is not None
    assert bound is not None
    assert optimal.relative_wse == pytest.approx(optimal.wse / result.grams.trace)
    assert optimal.over_gqa == pytest.approx(optimal.wse / gqa.wse - 1)
    assert gqa.over_gqa == 0
    assert gqa.over_bound == pytest.approx(gqa.wse / bound - 1)


def test_nothing_fits_a_budget_below_one_head_per_layer(result: SearchResult) -> None:
    assert set(points_at_budget(result, 5 * HEAD).values()) == {None}


def test_the_whole_cache_needs_no_merging(result: SearchResult) -> None:
    points = points_at_budget(result, 48 * HEAD)
    for method in ("mha", "gqa", "optimal"):
        point = points[method]
        assert point is not None
        assert point.wse == 0
        assert point.reaches_bound
    mqa = points["mqa"]
    assert mqa is not None
    assert mqa.over_bound == inf


def test_table_has_a_row_per_method_and_sizes_under_the_load(
    result: SearchResult, load: CacheLoad
) -> None:
    table = comparison_table(result, 24 * HEAD, load)
    assert list(table.index) == ["optimal", "gqa", "mqa", "mha"]
    assert table.loc["mha"].drop("method").isna().all()
    row = table.loc["optimal"]
    assert row["method"] == "Optimal"
    assert row["cache, GiB"] == pytest.approx(load.cache_gib(result.spec, row["bits per token"]))
    assert row["KiB per token"] == pytest.approx(row["bits per token"] / 8 / 1024)
    assert row["KV ratio"] <= 0.5


def test_result_without_gqa_has_nothing_to_compare_with(result: SearchResult) -> None:
    alone = SearchResult(
        grams=result.grams, fronts={"optimal": result.fronts["optimal"]}, bound=result.bound
    )
    point = points_at_budget(alone, 24 * HEAD)["optimal"]
    assert point is not None
    assert isnan(point.over_gqa)


def test_point_knows_what_its_plan_was_chosen_by(with_best: SearchResult) -> None:
    points = points_at_budget(with_best, 24 * HEAD)
    best, optimal = points["best"], points["optimal"]
    assert best is not None
    assert optimal is not None
    front = with_best.fronts["best"]
    assert (best.fitness, best.error) == ("loss", front.error[front.within(24 * HEAD)])
    assert optimal.fitness == "wse"
    # The bound is for keys and values alike.
    assert isnan(best.over_bound)
    assert not best.reaches_bound


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.004, "+0.40 %"),
        (0.1234, "+12.3 %"),
        (-0.5, "\N{MINUS SIGN}50.0 %"),
        (3.7, "+370 %"),
        (-0.00004, "0.00 %"),
    ],
)
def test_percent_has_a_sensible_number_of_digits(share: float, text: str) -> None:
    assert percent_text(share, sign=True) == text
