"""The Pareto chart draws the fronts that it was given."""

from typing import Any

import numpy as np
import pytest

from qcqa.budget import CacheLoad
from qcqa.report.kv_axis import KvAxis, KvUnit
from qcqa.report.palette import METHOD_STYLES
from qcqa.report.pareto import ErrorScale, pareto_caption, pareto_figure, scales_of
from qcqa.search_result import SearchResult


def _traces(figure: Any) -> dict[str, Any]:
    return {trace.name: trace for trace in figure.data}


def test_fronts_lie_where_their_plans_are(result: SearchResult, load: CacheLoad) -> None:
    traces = _traces(pareto_figure(result, KvAxis(result.spec, load)))
    assert set(traces) == {"Lower bound", "Optimal", "GQA", "MQA", "MHA"}
    front = result.fronts["optimal"]
    assert np.allclose(traces["Optimal"].x, 100 * front.cost / 48)
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
    assert all(y is None or y >= 0 for trace in traces.values() for y in trace.y)


def test_logarithmic_axis_has_no_zero_to_fill_to(result: SearchResult, load: CacheLoad) -> None:
    figure = pareto_figure(result, KvAxis(result.spec, load), log=True)
    assert figure.layout.yaxis.type == "log"
    assert _traces(figure)["Lower bound"].fill == "none"


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
    assert set(traces) == {"Best", "within the budget"}
    front = with_best.fronts["best"]
    assert np.allclose(traces["Best"].y, front.error)
    assert list(figure.data[-1].y) == [front.error[front.within(24)]]
    assert "nats per token (lower is better)" in figure.layout.yaxis.title.text
    assert "one layer merged at a time" in pareto_caption(with_best, "loss")


def test_front_by_loss_stays_in_the_background_of_wse(
    result: SearchResult, with_best: SearchResult, load: CacheLoad
) -> None:
    axis = KvAxis(result.spec, load)
    best = _traces(pareto_figure(with_best, axis))["Best"]
    assert np.allclose(best.y, with_best.wse("best") / with_best.grams.trace)
    assert best.line.width < METHOD_STYLES["best"].width
    assert "Best is chosen by measured loss, not by WSE" in pareto_caption(with_best, "relative")
    assert "not by WSE" not in pareto_caption(result, "relative")
    # The bound is for keys and values alike: it says nothing of plans that group them apart.
    assert "Best" not in _traces(pareto_figure(with_best, axis, scale="gap"))
