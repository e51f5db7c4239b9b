"""Methods are compared only where their plans cache the same bytes, and with paired errors."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from qcqa.charts.common.kv_axis import KvAxis
from qcqa.charts.fronts.comparison import points_at_budget
from qcqa.charts.fronts.equal_bytes import (
    Comparison,
    compare_methods,
    difference_text,
    differences_from_source,
    is_better,
)
from qcqa.measure.evaluation import Evaluation
from qcqa.measure.samples import Samples, Stratum
from qcqa.plan.budget import CacheLoad
from qcqa.plan.plan import Measurement
from qcqa.search.result import SearchResult

#: Bits per token of one head of the model: 4 elements of 16 bits.
HEAD = 64

METRIC = "heldout/accuracy"
Measure = Callable[..., Evaluation]


def _with_samples(row: Evaluation, right: list[int]) -> Evaluation:
    """Return a row that knows how many of ten tokens were right in each of its documents."""
    strata = (Stratum(1.0, (10,) * len(right), tuple(map(float, right))),)
    accuracy = sum(right) / (10 * len(right))
    return replace(
        row,
        measured=(Measurement(METRIC, accuracy, 0.05, 10 * len(right)),),
        samples=(Samples(METRIC, "digest", strata),),
    )


def _compare(result: SearchResult, budget: int, *rows: Evaluation) -> dict[str, Comparison]:
    return compare_methods(result, points_at_budget(result, budget), rows, METRIC)


@pytest.fixture
def axis(result: SearchResult, load: CacheLoad) -> KvAxis:
    return KvAxis(result.spec, load, "percent")


def test_plans_of_one_size_are_compared_with_their_paired_error(
    result: SearchResult, axis: KvAxis, measure: Measure
) -> None:
    right = [1, 9, 2, 8, 3, 7, 4, 6, 5, 5, 0, 8]
    gqa = _with_samples(measure("gqa", 24), right)
    optimal = _with_samples(
        measure("optimal", 24), [one + place % 2 for place, one in enumerate(right)]
    )
    found = _compare(result, 24 * HEAD, gqa, optimal)["optimal"]
    assert found.outcome == "measured"
    assert found.difference is not None
    assert found.difference.value == pytest.approx(0.05)
    # Half of twelve documents gained one token of ten: no matter how they differ.
    steps = np.array([0.0, 0.1] * 6)
    assert found.difference.standard_error == pytest.approx(steps.std(ddof=1) / 12**0.5)
    assert found.is_better is True
    assert found.sentence(axis) == "Optimal beats GQA by 5.0 ± 1.5 points at 50.0 %"
    turned = compare_methods(
        result, points_at_budget(result, 24 * HEAD), [gqa, optimal], METRIC, against="optimal"
    )["gqa"]
    assert turned.is_better is False
    assert turned.sentence(axis) == "Optimal beats GQA by 5.0 ± 1.5 points at 50.0 %"


def test_noise_is_no_victory(result: SearchResult, axis: KvAxis, measure: Measure) -> None:
    gqa = _with_samples(measure("gqa", 24), [5, 4] * 10)
    optimal = _with_samples(measure("optimal", 24), [4, 5] * 9 + [5, 5])
    found = _compare(result, 24 * HEAD, gqa, optimal)["optimal"]
    assert found.is_better is None
    assert "do not differ clearly at 50.0 %: +0.5 ± " in found.sentence(axis)


@pytest.mark.parametrize("heads", [23, 27, 40])
def test_where_gqa_has_no_plan_of_the_size_no_figures_are_compared(
    result: SearchResult, axis: KvAxis, measure: Measure, heads: int
) -> None:
    budget = heads * HEAD
    points = points_at_budget(result, budget)
    rows = [measure(one.method, one.kv_bits // HEAD) for one in points.values() if one]
    found = _compare(result, budget, *rows)["optimal"]
    gqa = points["gqa"]
    assert gqa is not None
    assert gqa.kv_bits < budget - HEAD
    assert (found.outcome, found.difference, found.is_better) == ("other size", None, None)
    assert found.against_bits == gqa.kv_bits
    assert found.words(axis) == "GQA has no plan of this size"
    lacking = f"(its largest here: {axis.text(gqa.kv_bits)})"
    assert found.sentence(axis).startswith("GQA has no plan of ")
    assert found.sentence(axis).endswith(lacking)


def test_a_smaller_plan_is_not_compared_with_a_larger_one(
    result: SearchResult, axis: KvAxis, measure: Measure
) -> None:
    found = _compare(result, 24 * HEAD, measure("gqa", 24), measure("mqa", 6))["mqa"]
    assert (found.outcome, found.difference) == ("other size", None)
    assert found.words(axis) == "GQA's plan is larger: 50.0 %"
    assert found.sentence(axis) == "MQA has no plan of 50.0 % (its largest here: 12.5 %)"


def test_what_fits_nowhere_and_what_was_not_measured_is_said(
    result: SearchResult, axis: KvAxis, measure: Measure
) -> None:
    assert _compare(result, 5 * HEAD)["optimal"].words(axis) == "GQA has no plan here"
    found = _compare(result, 24 * HEAD, measure("gqa", 24))["optimal"]
    assert (found.outcome, found.difference) == ("not measured", None)
    assert found.sentence(axis) == "Optimal and GQA were not both measured at 50.0 %"


def test_one_plan_of_two_methods_is_no_comparison(result: SearchResult, axis: KvAxis) -> None:
    for budget, method in ((6, "mqa"), (48, "optimal")):
        found = _compare(result, budget * HEAD)[method]
        assert found.outcome == "same plan"
        assert found.words(axis) == "the same plan as GQA's"


def test_rows_of_earlier_versions_give_a_difference_without_an_error(
    result: SearchResult, axis: KvAxis, measure: Measure
) -> None:
    rows = (measure("gqa", 24, accuracy=0.3), measure("optimal", 24, accuracy=0.5))
    found = _compare(result, 24 * HEAD, *rows)["optimal"]
    assert found.difference is not None
    assert found.difference.standard_error is None
    assert found.is_better is None
    assert found.sentence(axis) == "Optimal beside GQA at 50.0 %: +20.0 points, error not known"


def test_the_source_is_differed_from_with_the_kept_error(
    result: SearchResult, measure: Measure
) -> None:
    kept = Measurement(f"{METRIC}_difference", -0.2, 0.003, 1000)
    rows = (measure(accuracy=0.6), measure("gqa", 24, accuracy=0.4, extra=(kept,)))
    found = differences_from_source(points_at_budget(result, 24 * HEAD), rows, METRIC)
    assert list(found) == ["gqa"]
    assert difference_text(found["gqa"]) == "\N{MINUS SIGN}20.0 ± 0.3 points"


@pytest.mark.parametrize(
    ("metric", "value", "error", "text", "better"),
    [
        (METRIC, 0.0212, 0.004, "+2.1 ± 0.4 points", True),
        (METRIC, -0.0212, 0.004, "\N{MINUS SIGN}2.1 ± 0.4 points", False),
        (METRIC, 0.0001, 0.0008, "0.0 ± 0.1 points", None),
        (METRIC, 0.0, 0.0, "0.00 ± 0.00 points", None),
        (METRIC, 0.05, None, "+5.0 points", None),
        ("heldout/perplexity", -0.5, 0.04, "\N{MINUS SIGN}0.500 ± 0.0400", True),
        ("heldout/kl", 0.5, 0.04, "+0.500 ± 0.0400 nats per token", False),
        ("heldout/unheard-of", 0.5, 0.04, "+0.500 ± 0.0400", None),
    ],
)
def test_differences_are_written_with_sign_error_and_unit(
    metric: str, value: float, error: float | None, text: str, better: bool | None
) -> None:
    difference = Measurement(f"{metric}_difference", value, error)
    assert difference_text(difference) == text
    assert is_better(difference) is better


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (12.0, 0.5, "\N{MULTIPLICATION SIGN} 12.0 ± 0.500"),
        (0.9, 0.01, "\N{MINUS SIGN}10.0 ± 1.00 %"),
        (1.0, 0.0, "0 ± 0 %"),
    ],
)
def test_ratios_are_written_in_percent_unless_they_are_large(
    value: float, error: float, text: str
) -> None:
    assert difference_text(Measurement("heldout/perplexity_ratio", value, error)) == text
