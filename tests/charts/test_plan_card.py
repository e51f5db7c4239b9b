"""What the card of a plan says: the figure of the axis, the same on every card, and no more."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from qcqa.charts.common.kv_axis import KvAxis, significant
from qcqa.charts.fronts.comparison import BudgetPoint, percent_text, points_at_budget
from qcqa.charts.fronts.equal_bytes import compare_methods
from qcqa.charts.fronts.plan_card import PlanCard, plan_card
from qcqa.charts.fronts.plan_figures import figures_at
from qcqa.measure.evaluation import Evaluation
from qcqa.measure.samples import Samples, Stratum
from qcqa.plan.budget import CacheLoad
from qcqa.plan.plan import Measurement
from qcqa.search.result import SearchResult

#: Bits per token of one head of the model: 4 elements of 16 bits.
HEAD = 64

METRIC = "heldout/accuracy"


def _point(result: SearchResult, method: str, heads: int = 24) -> BudgetPoint:
    point = points_at_budget(result, heads * HEAD)[method]
    assert point is not None
    return point


def _card(
    result: SearchResult,
    load: CacheLoad,
    method: str,
    scale: str,
    rows: tuple[Evaluation, ...] = (),
    *,
    heads: int = 24,
) -> PlanCard:
    points = points_at_budget(result, heads * HEAD)
    return plan_card(
        result,
        _point(result, method, heads),
        KvAxis(result.spec, load, "percent"),
        scale=scale,
        label="Next-token accuracy",
        max_kv_bits=heads * HEAD,
        figure=figures_at(points, rows, METRIC, "Next-token accuracy").get(method),
        comparison=compare_methods(result, points, rows, METRIC).get(method),
    )


def test_on_a_measured_axis_every_card_has_the_measured_figure(
    result: SearchResult, load: CacheLoad, measure: Callable[..., Evaluation]
) -> None:
    rows = (measure(accuracy=0.6), measure("gqa", 24, accuracy=0.45))
    gqa, optimal = (_card(result, load, method, METRIC, rows) for method in ("gqa", "optimal"))
    assert (gqa.value, gqa.label) == ("45.0 %", "measured: next-token accuracy")
    # Never another figure in its place.
    assert (optimal.value, optimal.label) == ("\N{EM DASH}", gqa.label)
    assert optimal.lines[0] == "not measured at this size"
    for card, method in ((gqa, "gqa"), (optimal, "optimal")):
        wse = _point(result, method).relative_wse
        assert card.lines[-1] == f"estimated: relative WSE {wse:.3f}"
        assert not any("bound" in line or "lower" in line for line in card.lines)


def test_measured_cards_differ_from_gqa_and_from_the_source(
    result: SearchResult, load: CacheLoad, measure: Callable[..., Evaluation]
) -> None:
    rows = (
        measure(accuracy=0.6),
        measure("gqa", 24, accuracy=0.45),
        measure("optimal", 24, accuracy=0.5),
    )
    card = _card(result, load, "optimal", METRIC, rows)
    assert (card.change, card.is_better) == ("+5.0 points", None)
    assert card.lines[:2] == (
        "against GQA, error not known",
        "\N{MINUS SIGN}10.0 points against the source, error not known",
    )
    # Its size is the budget's.
    assert not any("of KV cache" in line for line in card.lines)


def test_a_plan_that_keeps_every_head_has_the_sources_figures(
    result: SearchResult, load: CacheLoad, measure: Callable[..., Evaluation]
) -> None:
    rows = (measure(accuracy=0.6), measure("gqa", 24, accuracy=0.45))
    for method in ("gqa", "optimal"):
        assert _point(result, method, 48).kv_bits == 48 * HEAD
        card = _card(result, load, method, METRIC, rows, heads=48)
        assert (card.value, card.change) == ("60.0 %", None)
        assert "the source itself: no difference" in card.lines
        assert not any("measured" in line or "against" in line for line in card.lines)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (0.01, "+44.0 ± 1.00 % against the source"),
        (None, "+44.0 % against the source, error not known"),
    ],
)
def test_a_perplexity_is_told_by_its_paired_ratio_to_the_sources(
    result: SearchResult,
    load: CacheLoad,
    measure: Callable[..., Evaluation],
    error: float | None,
    line: str,
) -> None:
    name, points = "heldout/perplexity", points_at_budget(result, 24 * HEAD)
    ratio = Measurement(f"{name}_ratio", 1.44, error, 1000)
    rows = (measure(perplexity=5.0), measure("gqa", 24, perplexity=7.2, extra=(ratio,)))
    card = plan_card(
        result,
        _point(result, "gqa"),
        KvAxis(result.spec, load, "percent"),
        scale=name,
        label="Perplexity",
        max_kv_bits=24 * HEAD,
        figure=figures_at(points, rows, name, "Perplexity")["gqa"],
        comparison=None,
    )
    assert card.value == "7.20"
    assert line in card.lines


def test_a_clear_paired_difference_is_a_verdict(
    result: SearchResult, load: CacheLoad, measure: Callable[..., Evaluation]
) -> None:
    def row(method: str, gained: int) -> Evaluation:
        right = tuple(float(number + gained + number % 2) for number in range(12))
        samples = (Samples(METRIC, "digest", (Stratum(1.0, (20,) * 12, right),)),)
        accuracy = sum(right) / 240
        return replace(measure(method, 24, accuracy=accuracy), samples=samples)

    rows = (row("gqa", 1), row("optimal", 2))
    card = _card(result, load, "optimal", METRIC, rows)
    assert card.change == "+5.00 ± 0.00 points"
    assert card.is_better is True
    assert card.lines[0] == "against GQA"


@pytest.mark.parametrize("scale", [METRIC, "relative", "absolute"])
def test_another_size_is_said_and_nothing_compared(
    result: SearchResult, load: CacheLoad, measure: Callable[..., Evaluation], scale: str
) -> None:
    points = points_at_budget(result, 40 * HEAD)
    rows = tuple(measure(p.method, p.kv_bits // HEAD) for p in points.values() if p)
    gqa = _card(result, load, "gqa", scale, rows, heads=40)
    assert "50.0 % of KV cache" in gqa.lines
    optimal = _card(result, load, "optimal", scale, rows, heads=40)
    assert optimal.change is None
    assert "GQA has no plan of this size" in optimal.lines
    assert not any("than GQA" in line for line in optimal.lines)


@pytest.mark.parametrize("scale", ["relative", "absolute", "gap"])
def test_figure_is_the_one_on_the_axis(result: SearchResult, load: CacheLoad, scale: str) -> None:
    point = _point(result, "gqa")
    expected = {
        "relative": (f"{point.relative_wse:.3f}", "estimated: relative WSE"),
        "absolute": (significant(point.wse), "estimated: WSE"),
        "gap": (percent_text(point.over_bound), "estimated: above lower bound"),
    }
    card = _card(result, load, "gqa", scale)
    assert (card.value, card.label) == expected[scale]
    # Nothing is said twice, and GQA is not compared with itself.
    assert sum("above lower bound" in line for line in card.lines) == (scale != "gap")
    assert sum("relative WSE" in line for line in card.lines) == (scale == "gap")
    assert card.change is None


def test_an_estimate_is_compared_without_a_verdict(result: SearchResult, load: CacheLoad) -> None:
    card = _card(result, load, "optimal", "relative")
    over = _point(result, "optimal").over_gqa
    assert over < 0
    assert (card.change, card.is_better) == (None, None)
    assert f"{percent_text(-over)} lower than GQA's" in card.lines


def test_the_lower_bound_is_plain_text_on_an_axis_of_wse_alone(
    result: SearchResult, load: CacheLoad
) -> None:
    assert _point(result, "optimal").reaches_bound
    assert (
        "no grouping alike for K and V has a lower WSE"
        in _card(result, load, "optimal", "relative").lines
    )
    assert (
        "no grouping alike for K and V has a lower WSE"
        not in _card(result, load, "optimal", METRIC).lines
    )


@pytest.mark.parametrize("scale", ["relative", "loss"])
def test_what_a_plan_was_chosen_by_never_stands_for_the_axis(
    with_best: SearchResult, load: CacheLoad, scale: str
) -> None:
    best, optimal = (_card(with_best, load, method, scale) for method in ("best", "optimal"))
    assert best.label == optimal.label
    point = _point(with_best, "best")
    loss, wse = significant(point.error), f"{point.relative_wse:.3f}"
    if scale == "relative":
        assert best.value == wse
        assert f"summed rise of the loss {loss} nats per token" in best.lines
    else:
        assert best.value == loss
        assert optimal.value == "\N{EM DASH}"
        assert "not known of this plan" in optimal.lines


def test_measured_figure_stands_below_an_error(
    result: SearchResult, load: CacheLoad, measure: Callable[..., Evaluation]
) -> None:
    card = _card(result, load, "gqa", "relative", (measure(), measure("gqa", 24, accuracy=0.45)))
    assert card.label == "estimated: relative WSE"
    assert card.lines[-1].endswith("measured: 45.0 % next-token accuracy")
