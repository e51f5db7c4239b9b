"""Dominated plans are drawn faintly where their error means something, and change nothing else."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from qcqa.charts.common.figure_file import figure_image, find_browser
from qcqa.charts.common.kv_axis import KvAxis
from qcqa.charts.common.palette import METHOD_STYLES
from qcqa.charts.fronts.chart import front_chart
from qcqa.charts.fronts.dominated import shows_dominated
from qcqa.charts.fronts.error_axis import ErrorScale
from qcqa.charts.fronts.overlay import OtherRun
from qcqa.charts.fronts.pareto import pareto_figure
from qcqa.charts.fronts.pareto_caption import pareto_caption
from qcqa.plan.budget import CacheLoad
from qcqa.search.front import Dominated
from qcqa.search.methods import run_method
from qcqa.search.result import SearchResult
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.problem import wse_problem

NAME = "QCQA-AC, dominated"


@pytest.fixture
def searched(result: SearchResult) -> SearchResult:
    """Return :func:`result` with a front of the paper's search, which keeps what it weighed."""
    settings = SearchSettings(
        population_size=20,
        generations=10,
        stage2_population_size=40,
        stage2_generations=40,
        workers=1,
    )
    front = run_method("qcqa-ac", wse_problem(result.grams), settings)
    return replace(result, fronts={**result.fronts, "qcqa-ac": front})


@pytest.fixture
def axis(result: SearchResult, load: CacheLoad) -> KvAxis:
    return KvAxis(result.spec, load)


def _with_front(result: SearchResult, **changes: Any) -> SearchResult:
    front = replace(result.fronts["qcqa-ac"], **changes)
    return replace(result, fronts={**result.fronts, "qcqa-ac": front})


def _dominated(result: SearchResult) -> Dominated:
    dominated = result.fronts["qcqa-ac"].dominated
    assert dominated is not None
    return dominated


def _traces(figure: Any) -> dict[str, Any]:
    return {trace.name: trace for trace in figure.data}


def _others(figure: Any) -> list[Any]:
    return [trace for trace in figure.data if trace.name != NAME]


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("scale", ["relative", "absolute"])
def test_they_lie_where_they_were_weighed_below_all_else(
    searched: SearchResult, axis: KvAxis, scale: ErrorScale, log: bool
) -> None:
    figure = pareto_figure(searched, axis, budget=0.5, scale=scale, log=log)
    trace, dominated = figure.data[0], _dominated(searched)
    assert trace.name == NAME
    assert len(trace.x) == len(dominated.cost) > 20
    assert np.allclose(trace.x, 100 * dominated.cost / 48)
    unit = searched.grams.trace if scale == "relative" else 1
    assert np.allclose(trace.y, dominated.error / unit)
    assert trace.marker.color == METHOD_STYLES["qcqa-ac"].colour
    assert trace.opacity < 0.5
    assert trace.marker.size < 5


def test_they_are_no_plans_to_choose(searched: SearchResult, axis: KvAxis) -> None:
    traces = _traces(pareto_figure(searched, axis, budget=0.5))
    assert traces[NAME].customdata is None
    assert traces[NAME].hoverinfo == "skip"
    # A click on another point does not change how they look.
    assert traces[NAME].unselected.marker.opacity == 1
    # They come and go with their front, which has the entry.
    assert traces[NAME].showlegend is False
    assert traces[NAME].legendgroup == traces["QCQA-AC"].legendgroup
    groups = [trace.legendgroup for trace in traces.values() if trace.name != NAME]
    assert groups.count("qcqa-ac") == 1


def test_all_else_is_as_without_them(searched: SearchResult, axis: KvAxis) -> None:
    without = _with_front(searched, dominated=None)
    for log in (False, True):
        figure = pareto_figure(searched, axis, budget=0.5, log=log, selected=("gqa", 24))
        plain = pareto_figure(without, axis, budget=0.5, log=log, selected=("gqa", 24))
        assert [trace.to_json() for trace in _others(figure)] == [
            trace.to_json() for trace in plain.data
        ]
        assert figure.layout == plain.layout


@pytest.mark.parametrize("log", [False, True])
def test_they_never_stretch_the_axis(searched: SearchResult, axis: KvAxis, log: bool) -> None:
    dominated = _dominated(searched)
    far = Dominated(dominated.cost, dominated.error + 0.5 * searched.grams.trace)
    figure = pareto_figure(_with_front(searched, dominated=far), axis, log=log)
    highest = max(max(trace.y) for trace in _others(figure))
    lowest = min(min(trace.y) for trace in _others(figure))
    (dots,) = [trace for trace in figure.data if trace.name == NAME]
    assert 0 < len(dots.y) < len(dominated.cost)
    assert lowest <= min(dots.y) <= max(dots.y) <= highest


def test_a_large_file_from_elsewhere_does_not_make_a_slow_chart(
    searched: SearchResult, axis: KvAxis
) -> None:
    dominated = _dominated(searched)
    many = Dominated(np.tile(dominated.cost, 500), np.tile(dominated.error, 500))
    trace = _traces(pareto_figure(_with_front(searched, dominated=many), axis))[NAME]
    assert len(trace.x) <= 500
    assert np.ptp(trace.x) > 50


def test_of_the_distance_from_the_bound_there_are_none(
    searched: SearchResult, axis: KvAxis
) -> None:
    assert NAME not in _traces(pareto_figure(searched, axis, scale="gap"))
    assert not shows_dominated(searched, "gap")
    assert "faint" not in pareto_caption(searched, "gap")


def test_a_search_by_another_fitness_shows_them_on_its_own_axis_alone(
    searched: SearchResult, axis: KvAxis
) -> None:
    by_output = _with_front(searched, fitness="output-error", total=2 * searched.grams.trace)
    assert NAME not in _traces(pareto_figure(by_output, axis))
    assert not shows_dominated(by_output, "relative")
    trace = _traces(pareto_figure(by_output, axis, scale="output-error"))[NAME]
    assert np.allclose(trace.y, _dominated(searched).error / (2 * searched.grams.trace))


def test_runs_without_them_are_drawn_as_before(
    result: SearchResult, searched: SearchResult, axis: KvAxis
) -> None:
    nothing = Dominated(np.array([], dtype=np.int64), np.array([]))
    for without in (result, _with_front(searched, dominated=nothing)):
        figure = pareto_figure(without, axis)
        assert not [name for name in _traces(figure) if "dominated" in name]
        assert "faint" not in pareto_caption(without, "relative")


def test_those_of_other_runs_are_not_drawn(searched: SearchResult, axis: KvAxis) -> None:
    without = _with_front(searched, dominated=None)
    other = OtherRun("Other", searched)
    figure = pareto_figure(without, axis, selected=("qcqa-ac", 24), others=[other])
    names = list(_traces(figure))
    assert "Other, QCQA-AC" in names
    assert not [name for name in names if "dominated" in name]


def test_caption_and_exported_chart_say_what_the_dots_are(
    searched: SearchResult, axis: KvAxis
) -> None:
    assert "every faint dot a dominated one" in pareto_caption(searched, "relative")
    figure = front_chart(searched, axis, name="Run", budget=0.5)
    assert NAME in _traces(figure)
    assert "faint dots: dominated plans" in figure.layout.title.text
    gap = front_chart(searched, axis, name="Run", vertical="gap")
    assert "faint" not in gap.layout.title.text


@pytest.mark.skipif(find_browser() is None, reason="no browser is here")
def test_a_browser_draws_each_of_them(searched: SearchResult, axis: KvAxis) -> None:
    drawn = figure_image(front_chart(searched, axis, name="Run"), "svg").decode()
    plain = figure_image(
        front_chart(_with_front(searched, dominated=None), axis, name="Run"), "svg"
    ).decode()
    points = [len(re.findall(r'class="point"', picture)) for picture in (drawn, plain)]
    assert points[0] - points[1] == len(_dominated(searched).cost)
    ticks = [re.findall(r'class="ytick"><text[^>]*>([^<]*)<', one) for one in (drawn, plain)]
    assert ticks[0] == ticks[1]
    assert len(ticks[0]) > 2
