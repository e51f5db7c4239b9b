"""The Pareto chart draws the fronts that it was given."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from qcqa.charts.common.kv_axis import KvAxis, KvUnit, significant
from qcqa.charts.common.palette import METHOD_STYLES
from qcqa.charts.fronts.error_axis import ErrorScale, scales_of
from qcqa.charts.fronts.pareto import pareto_figure
from qcqa.charts.fronts.pareto_caption import pareto_caption
from qcqa.measure.evaluation import Evaluation
from qcqa.plan.budget import CacheLoad
from qcqa.search.result import SearchResult

#: Bits per token of one head of the model: 4 elements of 16 bits.
HEAD = 64


def _traces(figure: Any) -> dict[str, Any]:
    return {trace.name: trace for trace in figure.data}


def test_fronts_lie_where_their_plans_are(result: SearchResult, load: CacheLoad) -> None:
    traces = _traces(pareto_figure(result, KvAxis(result.spec, load)))
    assert set(traces) == {"Lower bound", "Optimal", "GQA", "MQA", "MHA"}
    front = result.fronts["optimal"]
    assert np.allclose(traces["Optimal"].x, 100 * front.cost / (48 * HEAD))
    assert np.allclose(traces["Optimal"].y, front.error / result.grams.trace)
    assert list(traces["MHA"].y) == [0]


def test_no_front_is_below_the_bound(result: SearchResult, load: CacheLoad) -> None:
    traces = _traces(pareto_figure(result, KvAxis(result.spec, load), scale="absolute"))
    bound = traces.pop("Lower bound")
    for trace in traces.values():
        below = np.interp(trace.x, bound.x, bound.y)
        assert (np.array(trace.y) >= below - 1e-9 * below.max()).all()


@pytest.mark.parametrize("scale", ["relative", "absolute", "gap"])
@pytest.mark.parametrize("unit", ["percent", "gib", "kib"])
def test_every_axis_says_its_unit_and_direction(
    result: SearchResult, load: CacheLoad, scale: ErrorScale, unit: KvUnit
) -> None:
    axis = KvAxis(result.spec, load, unit)
    figure = pareto_figure(result, axis, budget=0.5, scale=scale)
    assert "lower is better" in figure.layout.yaxis.title.text
    assert axis.suffix.split("/", maxsplit=1)[0] in figure.layout.xaxis.title.text
    budget = figure.data[-1]
    assert max(budget.x) <= axis.full / 2
    assert figure.layout.shapes[0].x0 == pytest.approx(axis.full / 2)


def test_gap_is_zero_where_the_bound_is_reached(result: SearchResult, load: CacheLoad) -> None:
    traces = _traces(pareto_figure(result, KvAxis(result.spec, load), scale="gap"))
    assert "Lower bound" not in traces
    # One group per layer: there is only one such grouping, and the bound is exact.
    assert traces["MQA"].y[0] == pytest.approx(0, abs=1e-6)
    assert all(np.isnan(y) or y >= 0 for trace in traces.values() for y in trace.y)


@pytest.mark.parametrize("scale", ["relative", "absolute", "gap"])
def test_logarithmic_axis_has_what_is_zero_on_its_lower_edge(
    result: SearchResult, load: CacheLoad, scale: ErrorScale
) -> None:
    axis = KvAxis(result.spec, load)
    linear = _traces(pareto_figure(result, axis, scale=scale))
    figure = pareto_figure(result, axis, scale=scale, log=True)
    assert figure.layout.yaxis.type == "log"
    traces = _traces(figure)
    if scale != "gap":
        assert traces["Lower bound"].fill == "none"
    (note,) = [note for note in figure.layout.annotations if note.yanchor == "top"]
    assert note.text.strip() == ("at the bound" if scale == "gap" else "no error")
    edge = 10**note.y
    for name, trace in traces.items():
        before, after = np.array(linear[name].y), np.array(trace.y)
        known = np.isfinite(before)
        assert np.allclose(after[known], np.maximum(before[known], edge))
    # Nothing but zeros and rounding was moved.
    moved = np.concatenate(
        [np.array(trace.y)[np.array(trace.y) < edge] for trace in linear.values()]
    )
    assert (moved < 1e-6).all()


def test_points_carry_their_plans(result: SearchResult, load: CacheLoad) -> None:
    figure = pareto_figure(
        result, KvAxis(result.spec, load), budget=0.6, selected=("gqa", 24 * HEAD)
    )
    traces = _traces(figure)
    front = result.fronts["optimal"]
    assert [tuple(row[:2]) for row in traces["Optimal"].customdata] == [
        ("optimal", kv_bits) for kv_bits in front.cost
    ]
    within = traces["within the budget"].customdata
    assert {row[0]: row[1] // HEAD for row in within} == {"gqa": 24, "mqa": 6, "optimal": 28}
    ring = traces["selected"]
    assert (ring.x[0], ring.y[0]) == (
        50,
        pytest.approx(result.fronts["gqa"].error[2] / result.grams.trace),
    )
    assert ring.hoverinfo == "skip"


def test_hover_says_what_a_plan_costs_and_what_was_measured(
    result: SearchResult, load: CacheLoad, measure: Callable[..., Evaluation]
) -> None:
    rows = [measure(accuracy=0.6), measure("gqa", 24, accuracy=0.25)]
    figure = pareto_figure(result, KvAxis(result.spec, load), rows=rows)
    gqa = _traces(figure)["GQA"]
    (row,) = [row for row in gqa.customdata if row[1] == 24 * HEAD]
    assert row[2] == 50
    assert row[3] == pytest.approx(load.cache_gib(result.spec, 24 * HEAD), rel=1e-4)
    wse = result.fronts["gqa"].error[2]
    relative = significant(wse / result.grams.trace)
    measured = "Next-token accuracy on held-out stories: 25.0 %"
    assert row[5] == (
        f"<br>WSE {significant(wse)}, relative WSE {relative}"
        f"<br>{measured}<br>heads kept of 8<br>L0-2: 4"
    )
    others = [row[5] for row in gqa.customdata if row[1] != 24 * HEAD]
    assert not any("25.0 %" in text for text in others)
    assert "4,096 tokens" in gqa.hovertemplate


def test_measured_plans_of_a_long_front_are_among_its_corners(
    result: SearchResult,
    load: CacheLoad,
    measure: Callable[..., Evaluation],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("qcqa.charts.fronts.pareto._MOST_CORNERS", 4)
    axis = KvAxis(result.spec, load)
    plain = _traces(pareto_figure(result, axis))["Optimal"].customdata[:, 1]
    kv_bits = next(cost for cost in result.fronts["optimal"].cost if cost not in plain)
    measured = _traces(pareto_figure(result, axis, rows=[measure("optimal", int(kv_bits) // HEAD)]))
    assert list(measured["Optimal"].customdata[:, 1]) == sorted([*plain, kv_bits])


def test_budget_that_no_plan_fits_is_still_drawn(result: SearchResult, load: CacheLoad) -> None:
    figure = pareto_figure(result, KvAxis(result.spec, load), budget=0.01)
    assert len(figure.data[-1].x) == 0
    assert len(figure.layout.shapes) == 1


def test_methods_differ_by_more_than_colour() -> None:
    styles = METHOD_STYLES.values()
    for look in ("label", "colour", "symbol"):
        assert len({getattr(style, look) for style in styles}) == len(styles)


def test_axis_of_measured_loss_is_for_those_who_searched_by_it(
    result: SearchResult, with_best: SearchResult, load: CacheLoad
) -> None:
    assert list(scales_of(result)) == ["relative", "absolute", "gap"]
    assert list(scales_of(with_best)) == ["relative", "absolute", "gap", "loss"]
    axis = KvAxis(result.spec, load)
    figure = pareto_figure(with_best, axis, budget=0.5, scale="loss")
    traces = _traces(figure)
    assert set(traces) == {"Best heads", "within the budget"}
    front = with_best.fronts["best"]
    assert np.allclose(traces["Best heads"].y, front.error)
    assert list(figure.data[-1].y) == [front.error[front.within(24 * HEAD)]]
    assert "nats per token (lower is better)" in figure.layout.yaxis.title.text
    assert "one layer reduced at a time" in pareto_caption(with_best, "loss", load)


def test_front_by_loss_stays_in_the_background_of_wse(
    result: SearchResult, with_best: SearchResult, load: CacheLoad
) -> None:
    axis = KvAxis(result.spec, load)
    best = _traces(pareto_figure(with_best, axis))["Best heads"]
    assert np.allclose(best.y, with_best.wse("best") / with_best.grams.trace)
    assert best.line.width < METHOD_STYLES["best"].width
    assert "Best heads chooses layers by measured loss, not by WSE" in pareto_caption(
        with_best, "relative", load
    )
    assert "not by WSE" not in pareto_caption(result, "relative", load)
    # The bound is for keys and values alike: it says nothing of plans that group them apart.
    assert "Best heads" not in _traces(pareto_figure(with_best, axis, scale="gap"))
