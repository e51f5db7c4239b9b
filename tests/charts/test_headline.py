"""The sentence above the chart: measured where all was measured, else said to be an estimate."""

from collections.abc import Callable

import pytest

from qcqa.charts.common.kv_axis import KvAxis, KvUnit, significant
from qcqa.charts.fronts.comparison import points_at_budget
from qcqa.charts.fronts.headline import budget_headline, shown_names
from qcqa.measure.evaluation import Evaluation
from qcqa.plan.budget import CacheLoad
from qcqa.search.result import SearchResult

#: Bits per token of one head of the model: 4 elements of 16 bits.
HEAD = 64

METRIC = "heldout/accuracy"


@pytest.fixture
def said(result: SearchResult, load: CacheLoad) -> Callable[..., str]:
    def headline(
        *rows: Evaluation, heads: int = 24, unit: KvUnit = "percent", best: str = "optimal"
    ) -> str:
        points = points_at_budget(result, heads * HEAD)
        point = points[best]
        return budget_headline(
            result,
            points,
            [point] if point else [],
            KvAxis(result.spec, load, unit),
            heads / 48,
            rows=rows,
            metric=METRIC if rows else None,
            label="Next-token accuracy",
        )

    return headline


def test_measured_beats_estimated(
    said: Callable[..., str], measure: Callable[..., Evaluation]
) -> None:
    """WSE says that the optimal plan is best: it was measured, and it is not."""
    rows = [
        measure(accuracy=0.6),
        measure("optimal", 24, accuracy=0.3),
        measure("gqa", 24, accuracy=0.4),
        measure("mqa", 6, accuracy=0.1),
    ]
    assert said(*rows) == (
        "Measured, within 50.0 % of the source's KV cache: **GQA** has the highest next-token "
        "accuracy, 40.0 %."
    )
    assert said(*rows[:-1]).startswith("Estimated, within 50.0 % of the source's KV cache: ")
    assert "GQA at 50.0 %: +20.0 points" in said(
        rows[0], measure("optimal", 24, accuracy=0.6), *rows[2:]
    )


def test_a_narrow_victory_is_called_so(
    said: Callable[..., str], measure: Callable[..., Evaluation]
) -> None:
    rows = [
        measure("optimal", 24, accuracy=0.31),
        measure("gqa", 24, accuracy=0.3),
        measure("mqa", 6, accuracy=0.1),
    ]
    assert "not clearly better than **GQA**" in said(*rows)


def test_where_gqa_has_no_plan_of_the_size_that_is_said(
    said: Callable[..., str], measure: Callable[..., Evaluation]
) -> None:
    rows = [
        measure("optimal", 40, accuracy=0.5),
        measure("gqa", 24, accuracy=0.3),
        measure("mqa", 6, accuracy=0.1),
    ]
    sentence = said(*rows, heads=40)
    assert sentence.endswith("GQA has no plan of 83.3 % (its largest here: 50.0 %).")
    assert "points" not in sentence


def test_estimates_are_compared_at_equal_bytes_only(said: Callable[..., str]) -> None:
    assert "less than GQA" in said()
    assert "GQA" not in said(heads=40)
    assert said().endswith("No grouping alike for keys and values has a lower WSE.")


@pytest.mark.parametrize("scale", ["relative", "absolute", "gap", "loss"])
def test_an_estimate_speaks_of_the_error_on_the_axis_first(
    with_best: SearchResult, load: CacheLoad, scale: str
) -> None:
    points = points_at_budget(with_best, 24 * HEAD)
    best, optimal = points["best"], points["optimal"]
    assert best is not None
    assert optimal is not None
    axis = KvAxis(with_best.spec, load, "percent")
    said = budget_headline(with_best, points, [best], axis, 0.5, scale=scale)
    of_wse = f"**Optimal** has the lowest relative WSE, {optimal.relative_wse:.3f}"
    rise = significant(best.error)
    of_loss = f"**Best heads** has the lowest summed rise of the loss, {rise} nats per token."
    start, _, rest = said.partition(": ")
    assert start == "Estimated, within 50.0 % of the source's KV cache"
    assert rest.startswith(of_loss if scale == "loss" else of_wse)
    # By which error a plan is taken is said in any case.
    assert said.endswith(of_loss)


@pytest.mark.parametrize(("unit", "text"), [("gib", "GiB of KV cache"), ("kib", "KiB/token of")])
def test_sizes_are_in_the_chosen_unit(said: Callable[..., str], unit: str, text: str) -> None:
    for heads in (24, 5):
        assert text in said(unit=unit, heads=heads)
        assert "%" not in said(unit=unit, heads=heads).partition(":")[0]


def test_gqa_and_mqa_are_one_where_their_plans_are(result: SearchResult) -> None:
    assert shown_names(result, points_at_budget(result, 6 * HEAD)) == {
        "optimal": "Optimal",
        "gqa": "GQA = MQA",
    }
    assert list(shown_names(result, points_at_budget(result, 24 * HEAD))) == [
        "optimal",
        "gqa",
        "mqa",
    ]
