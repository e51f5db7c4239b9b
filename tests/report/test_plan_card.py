"""What the card of a plan says: the figure of the chart first, each with its name."""

from collections.abc import Callable

import pytest

from qcqa.budget import CacheLoad
from qcqa.evaluated import Evaluated
from qcqa.report.comparison import BudgetPoint, percent_text, points_at_budget
from qcqa.report.kv_axis import KvAxis, significant
from qcqa.report.plan_card import PlanCard, plan_card
from qcqa.report.plan_figures import figures_at
from qcqa.search_result import SearchResult

METRIC = "heldout/accuracy"


def _point(result: SearchResult, method: str, budget: int = 24) -> BudgetPoint:
    point = points_at_budget(result, budget)[method]
    assert point is not None
    return point


def _card(
    result: SearchResult,
    load: CacheLoad,
    method: str,
    scale: str,
    rows: tuple[Evaluated, ...] = (),
) -> PlanCard:
    point = _point(result, method)
    figures = figures_at({method: point}, rows, METRIC, "Next-token accuracy")
    axis = KvAxis(result.spec, load, "percent")
    return plan_card(result, point, axis, scale=scale, figure=figures.get(method))


def test_measured_figure_comes_first_with_its_change(
    result: SearchResult, load: CacheLoad, measure: Callable[..., Evaluated]
) -> None:
    rows = (measure(accuracy=0.6), measure("gqa", 24, accuracy=0.45))
    card = _card(result, load, "gqa", METRIC, rows)
    assert (card.value, card.label) == ("45.0 %", "next-token accuracy")
    assert card.change == "\N{MINUS SIGN}15.0 points"
    assert card.lower_is_better is False
    assert card.lines[:2] == ("source: 60.0 %", "50.0 % of KV cache")
    assert f"relative WSE {_point(result, 'gqa').relative_wse:.3f}" in card.lines


def test_change_needs_a_measured_source(
    result: SearchResult, load: CacheLoad, measure: Callable[..., Evaluated]
) -> None:
    card = _card(result, load, "gqa", METRIC, (measure("gqa", 24, accuracy=0.45),))
    assert card.value == "45.0 %"
    assert card.change is None
    assert not any(line.startswith("source") for line in card.lines)


def test_unmeasured_plan_shows_its_error_by_name(
    result: SearchResult, load: CacheLoad, measure: Callable[..., Evaluated]
) -> None:
    card = _card(result, load, "optimal", METRIC, (measure(), measure("gqa", 24)))
    assert card.label == "relative WSE"
    assert not any("accuracy" in line for line in card.lines)


@pytest.mark.parametrize("scale", ["relative", "absolute", "gap"])
def test_figure_is_the_one_on_the_axis(result: SearchResult, load: CacheLoad, scale: str) -> None:
    point = _point(result, "gqa")
    expected = {
        "relative": (f"{point.relative_wse:.3f}", "relative WSE"),
        "absolute": (significant(point.wse), "WSE"),
        "gap": (percent_text(point.over_bound), "above the lower bound of its size"),
    }
    card = _card(result, load, "gqa", scale)
    assert (card.value, card.label) == expected[scale]
    # Nothing is said twice, and GQA is not compared with itself.
    assert sum("above lower bound" in line for line in card.lines) == (scale != "gap")
    assert sum("relative WSE" in line for line in card.lines) == (scale != "relative")
    assert card.change is None


def test_error_is_compared_with_gqa(result: SearchResult, load: CacheLoad) -> None:
    card = _card(result, load, "optimal", "relative")
    point = _point(result, "optimal")
    assert card.change == percent_text(point.over_gqa, sign=True)
    assert (card.against, card.lower_is_better) == ("GQA", True)


@pytest.mark.parametrize("scale", ["relative", "gap", "loss"])
def test_plan_by_measured_loss_shows_what_it_was_chosen_by(
    with_best: SearchResult, load: CacheLoad, scale: str
) -> None:
    card = _card(with_best, load, "best", scale)
    assert card.value == significant(_point(with_best, "best").error)
    assert card.label == "rise of the loss, nats"
    assert card.change is None


def test_measured_figure_stands_below_an_error(
    result: SearchResult, load: CacheLoad, measure: Callable[..., Evaluated]
) -> None:
    card = _card(result, load, "gqa", "relative", (measure(), measure("gqa", 24, accuracy=0.45)))
    assert card.label == "relative WSE"
    assert card.lines[-1].endswith("45.0 % next-token accuracy")
