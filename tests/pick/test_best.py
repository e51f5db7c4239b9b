"""Whose plan is the best within a budget: what was measured, else what is closest to quality."""

from dataclasses import replace
from typing import Any

import pytest

from qcqa.errors import BudgetError
from qcqa.measure.benchmark import Benchmark
from qcqa.measure.evaluation import Evaluation
from qcqa.pick.best import best_method
from qcqa.pick.plan import plan_of_result
from qcqa.plan.plan import Measurement
from qcqa.reduce.groups.gram import ModelGrams
from qcqa.search.methods import run_method
from qcqa.search.result import SearchResult
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.optimal import lower_bound
from qcqa.search.strategy.options import ExactOptions
from qcqa.search.strategy.problem import wse_problem

#: Bits per token of one head of 4 elements of 16 bits.
HEAD = 64
#: Half of the cache of 3 layers of 8 heads.
HALF = 24 * HEAD
#: Heads that the plans within it keep.
SIZES = {"optimal": 24, "gqa": 24, "mqa": 6, "best": 24, "qcqa-ac": 24}


@pytest.fixture
def result(random_grams: ModelGrams) -> SearchResult:
    """Return a search by WSE: the baselines and the optimal front."""
    settings = SearchSettings(exact=ExactOptions(restarts=0), workers=1)
    problem = wse_problem(random_grams)
    methods = ("mha", "gqa", "mqa", "optimal")
    return SearchResult(
        grams=random_grams,
        fronts={name: run_method(name, problem, settings) for name in methods},
        bound=lower_bound(problem, settings),
    )


def _with(result: SearchResult, method: str, fitness: Any) -> SearchResult:
    """Return the result with one more front, which was found by some fitness."""
    front = replace(result.fronts["optimal"], method=method, fitness=fitness)
    return replace(result, fronts={**result.fronts, method: front})


def _row(
    method: str,
    value: float,
    *,
    error: float | None = 0.001,
    samples: int = 2000,
    metric: str = "some/accuracy",
    paired: float | None = None,
    device: str = "cpu",
    dtype: str = "auto",
    benchmark: Benchmark | None = None,
) -> Evaluation:
    figures = [Measurement(metric, value, error, samples)]
    if paired is not None:
        figures.append(Measurement(f"{metric}_difference", value - 0.6, paired, samples))
    return Evaluation(
        method=method,
        merge="mean",
        kv_bits=SIZES[method] * HEAD,
        kv_ratio=SIZES[method] / 48,
        kv_bytes_per_token=8 * SIZES[method],
        wse=0.0,
        relative_wse=0.0,
        device=device,
        dtype=dtype,
        plan_digest=method,
        benchmark=benchmark or Benchmark(text="/texts/some.txt"),
        measured=tuple(figures),
    )


def test_by_wse_alone_it_says_that_this_need_not_be_quality(result: SearchResult) -> None:
    best = best_method(result, HALF)
    assert (best.method, best.by, best.metric) == ("optimal", "wse", None)
    assert best.ground == (
        "estimated by WSE alone: no plan was measured, and WSE need not stand for quality"
    )
    assert best.sentence == f"Chosen: Optimal ({best.ground})."


@pytest.mark.parametrize(
    ("method", "fitness", "says"),
    [
        (
            "best",
            "loss",
            "predicted by what each layer alone was measured to lose on the calibration text",
        ),
        (
            "qcqa-ac",
            "loss",
            "predicted by what each layer alone was measured to lose on the calibration text",
        ),
        (
            "best",
            "output-error",
            "predicted by the error of the attention's output on the calibration text",
        ),
    ],
)
def test_what_is_closer_to_quality_comes_first(
    result: SearchResult, method: str, fitness: str, says: str
) -> None:
    found = _with(result, method, fitness)
    # Whatever the number: errors of different fitness cannot be compared.
    front = found.fronts[method]
    layers = tuple(replace(one, error=1000 * one.error) for one in front.layers)
    found = replace(found, fronts={**found.fronts, method: replace(front, layers=layers)})
    best = best_method(found, HALF)
    assert (best.method, best.by) == (method, fitness)
    assert best.ground == f"{says}: no plan was measured"


def test_loss_comes_before_output_error(result: SearchResult) -> None:
    both = _with(_with(result, "qcqa-ac", "output-error"), "best", "loss")
    assert best_method(both, HALF).method == "best"


def test_equal_predictions_are_named_with_it(result: SearchResult) -> None:
    twice = _with(result, "qcqa-ac", "wse")
    best = best_method(twice, HALF)
    assert (best.method, best.equals) == ("qcqa-ac", ("optimal",))


def test_what_was_measured_decides(result: SearchResult) -> None:
    rows = [_row("optimal", 0.3), _row("gqa", 0.4), _row("mqa", 0.1)]
    best = best_method(result, HALF, rows)
    assert (best.method, best.by, best.value) == ("gqa", "measured", 0.4)
    assert best.ground == "measured next-token accuracy 40.0 % on some.txt"
    assert best_method(result, HALF, iter(rows)) == best


def test_a_smaller_cache_within_the_budget_may_be_the_best(result: SearchResult) -> None:
    rows = [_row("optimal", 0.3), _row("gqa", 0.2), _row("mqa", 0.4)]
    assert best_method(result, HALF, rows).method == "mqa"


def test_of_perplexities_the_lowest_is_the_best(result: SearchResult) -> None:
    rows = [
        _row(name, value, metric="some/perplexity")
        for name, value in (("optimal", 9.0), ("gqa", 8.0), ("mqa", 30.0))
    ]
    best = best_method(result, HALF, rows)
    assert (best.method, best.value) == ("gqa", 8.0)


@pytest.mark.parametrize("fitness", ["loss", "output-error"])
def test_a_measured_baseline_does_not_beat_what_is_closer_to_quality(
    result: SearchResult, fitness: str
) -> None:
    best = best_method(_with(result, "best", fitness), HALF, [_row("gqa", 0.1)])
    assert (best.method, best.by) == ("best", fitness)
    assert best.measured == ("gqa",)
    assert best.ground.endswith("this plan was not measured, only GQA")


def test_baselines_alone_say_nothing_of_what_was_searched(result: SearchResult) -> None:
    best = best_method(result, HALF, [_row("gqa", 0.2), _row("mqa", 0.1)])
    assert (best.method, best.by) == ("optimal", "wse")
    assert "this plan was not measured, only GQA, MQA, and WSE need not" in best.ground


def test_a_measured_plan_comes_before_predictions_no_closer_to_quality(
    result: SearchResult,
) -> None:
    more = _with(result, "qcqa-ac", "wse")
    best = best_method(more, HALF, [_row("qcqa-ac", 0.3)])
    assert (best.method, best.by) == ("qcqa-ac", "measured")
    assert best.unmeasured == ("optimal", "gqa", "mqa")
    assert best.ground.endswith("on some.txt; not measured: Optimal, GQA, MQA")
    loss = _with(result, "best", "loss")
    best = best_method(loss, HALF, [_row("best", 0.3)])
    assert (best.method, best.by) == ("best", "measured")


def test_a_measured_failure_is_no_ground_however_close_its_fitness(result: SearchResult) -> None:
    rows = [_row("best", 0.1), _row("gqa", 0.4)]
    best = best_method(_with(result, "best", "loss"), HALF, rows)
    assert (best.method, best.by, best.unmeasured) == ("gqa", "measured", ("optimal", "mqa"))


def test_small_samples_decide_nothing(result: SearchResult) -> None:
    rows = [_row("optimal", 0.3, samples=4), _row("gqa", 0.4, samples=4)]
    best = best_method(result, HALF, rows)
    assert (best.method, best.by, best.measured) == ("optimal", "wse", ())
    assert "no plan for this budget was measured on enough, and WSE need not" in best.ground


@pytest.mark.parametrize(
    "other",
    [
        {"device": "cuda"},
        {"dtype": "bfloat16"},
        {"benchmark": Benchmark(text="/texts/other.txt")},
        {"benchmark": Benchmark(text="/texts/some.txt", limit=10)},
        {"benchmark": Benchmark(text="/texts/some.txt", window_tokens=64)},
    ],
)
def test_figures_of_other_conditions_are_not_compared(
    result: SearchResult, other: dict[str, Any]
) -> None:
    rows = [_row("gqa", 0.9, **other), _row("optimal", 0.3), _row("mqa", 0.1)]
    best = best_method(result, HALF, rows)
    assert (best.method, best.value, best.unmeasured) == ("optimal", 0.3, ("gqa",))
    # Alike in number, what was searched counts.
    assert best_method(result, HALF, rows[:2]).method == "optimal"


def test_the_figure_that_most_plans_have_decides(result: SearchResult) -> None:
    rows = [
        _row("optimal", 0.3),
        _row("gqa", 8.0, metric="some/perplexity"),
        _row("optimal", 9.0, metric="some/perplexity", device="cuda"),
        _row("gqa", 7.0, metric="some/perplexity", device="cuda"),
    ]
    best = best_method(result, HALF, rows)
    assert (best.method, best.metric, best.value) == ("gqa", "some/perplexity", 7.0)


def test_accuracy_on_a_text_comes_before_tasks(result: SearchResult) -> None:
    both = [
        replace(row, measured=(Measurement("quiz/acc", quiz, 0.01, 400), *row.measured))
        for row, quiz in ((_row("optimal", 0.5), 0.1), (_row("gqa", 0.4), 0.9))
    ]
    assert best_method(result, HALF, both).metric == "some/accuracy"
    quiz = [replace(row, measured=row.measured[:1]) for row in both]
    best = best_method(result, HALF, quiz)
    assert (best.method, best.ground) == (
        "gqa",
        "measured accuracy 90.0 % on quiz; not measured: MQA",
    )


@pytest.mark.parametrize(
    ("errors", "wins", "equals"),
    [
        ({}, "optimal", ()),
        ({"error": 0.003}, "optimal", ()),
        ({"error": 0.02}, "optimal", ("mqa",)),
        # What is hard for both cancels out.
        ({"error": 0.02, "paired": 0.001}, "optimal", ()),
        ({"error": 0.001, "paired": 0.02}, "optimal", ("mqa",)),
    ],
)
def test_what_is_not_clearly_worse_is_named_beside_the_best(
    result: SearchResult, errors: dict[str, float], wins: str, equals: tuple[str, ...]
) -> None:
    rows = [_row("optimal", 0.51, **errors), _row("mqa", 0.50, **errors), _row("gqa", 0.2)]
    best = best_method(result, HALF, rows)
    assert (best.method, best.equals) == (wins, equals)
    assert ("not clearly worse: MQA" in best.ground) is bool(equals)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_no_figure(result: SearchResult, value: float) -> None:
    best = best_method(result, HALF, [_row("optimal", 0.3), _row("gqa", value)])
    assert (best.method, best.value) == ("optimal", 0.3)


def test_another_size_of_the_same_method_is_another_plan(result: SearchResult) -> None:
    smaller = replace(_row("gqa", 0.9), kv_bits=12 * HEAD)
    best = best_method(result, HALF, [smaller, _row("optimal", 0.3)])
    assert (best.method, best.unmeasured) == ("optimal", ("gqa", "mqa"))


def test_the_ground_is_in_the_plan_unless_its_method_was_named(result: SearchResult) -> None:
    rows = [_row("optimal", 0.3), _row("gqa", 0.4)]
    plan = plan_of_result(result, HALF, rows=rows)
    assert plan.method == "gqa"
    chosen = plan.provenance["chosen"]
    assert chosen["why"] == best_method(result, HALF, rows).sentence
    assert (chosen["by"], chosen["unmeasured"]) == ("measured", ["mqa"])
    assert "chosen" not in plan_of_result(result, HALF, method="gqa", rows=rows).provenance


def test_without_a_plan_it_is_refused(result: SearchResult) -> None:
    with pytest.raises(BudgetError, match=r"a budget of 10\.42 % .* expected at least 12\.5 %"):
        best_method(result, 5 * HEAD)
    with pytest.raises(BudgetError, match="no plan of any method is there yet"):
        best_method(replace(result, fronts={}), HALF)


def _with_kl(row: Evaluation, kl: float) -> Evaluation:
    return replace(row, measured=(*row.measured, Measurement("some/kl", kl, 0.001, 2000)))


def test_plans_that_accuracy_does_not_part_are_parted_by_closeness(result: SearchResult) -> None:
    rows = [_with_kl(_row("gqa", 0.4001), 0.5), _with_kl(_row("optimal", 0.4), 0.3)]
    best = best_method(result, HALF, [*rows, _with_kl(_row("mqa", 0.1), 0.1)])
    assert (best.method, best.metric, best.value) == ("optimal", "some/accuracy", 0.4)
    assert (best.parted_by, best.parted_from, best.equals) == ("some/kl", ("gqa",), ())
    assert best.ground == (
        "measured next-token accuracy 40.0 % on some.txt; not clearly apart by it, but worse by "
        "KL divergence from the source: GQA"
    )


def test_closeness_decides_nothing_where_accuracy_does(result: SearchResult) -> None:
    rows = [_with_kl(_row("gqa", 0.45), 0.5), _with_kl(_row("optimal", 0.4), 0.3)]
    best = best_method(result, HALF, rows)
    assert (best.method, best.parted_by) == ("gqa", None)


def test_equal_closeness_parts_nobody(result: SearchResult) -> None:
    rows = [_with_kl(_row("gqa", 0.4001), 0.3001), _with_kl(_row("optimal", 0.4), 0.3)]
    best = best_method(result, HALF, rows)
    assert (best.method, best.equals, best.parted_by) == ("gqa", ("optimal",), None)
