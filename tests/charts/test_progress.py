"""The progress of a search as a chart."""

from typing import Any

from qcqa.charts.jobs.progress import (
    convergence,
    has_hypervolume,
    optimal_hypervolume,
    progress_figure,
)
from qcqa.search.result import SearchResult
from qcqa.search.strategy.pareto import hypervolume


def _event(**row: Any) -> dict[str, Any]:
    return {"time": "2026-01-01T00:00:00+00:00", "event": "progress", **row}


def test_nothing_is_drawn_before_there_is_a_front() -> None:
    events = [
        {"time": "", "event": "started"},
        _event(stage="reading K/V weights", step=1, total=6),
    ]
    assert not has_hypervolume(events)
    notes = [note.text for note in progress_figure(events).layout.annotations]
    assert notes == ["not reached yet"] * 2


def test_stages_are_told_apart_and_a_repeated_step_counts_once() -> None:
    first = _event(stage="QCQA-AC: stage 1", method="qcqa-ac", layer=0, step=1, hypervolume=0.3)
    later = [
        _event(stage="QCQA-AC: stage 2", method="qcqa-ac", step=step, hypervolume=value)
        for step, value in ((1, 0.4), (2, 0.5), (2, 0.6))
    ]
    traces = progress_figure([first, *later]).data
    assert [(list(t.x), list(t.y)) for t in traces] == [([0], [0.3]), ([1, 2], [0.4, 0.6])]


def _stage_two(method: str, volumes: dict[int, float], total: int = 500) -> list[dict[str, Any]]:
    return [
        _event(stage="x: stage 2", method=method, step=step, total=total, hypervolume=volume)
        for step, volume in volumes.items()
    ]


def test_hint_comes_when_the_hypervolume_stays_the_same() -> None:
    events = _stage_two("qcqa-ac", {10: 0.3, 50: 0.5, 100: 0.5000001, 200: 0.5})
    (found,) = convergence(events)
    assert (found.step, found.total, found.unchanged_for) == (200, 500, 150)
    assert found.has_stopped
    assert "unchanged for the last 150 generations" in found.text()


def test_hint_says_when_a_search_still_improves() -> None:
    (going,) = convergence(_stage_two("qcqa-ac", {10: 0.3, 200: 0.5}))
    assert going.text() == "QCQA-AC: still improving."
    (ended,) = convergence(_stage_two("qcqa-ac", {10: 0.3, 500: 0.5}))
    assert "more generations might help" in ended.text()


def test_layers_of_stage_one_are_no_generations() -> None:
    first = _event(
        stage="x: stage 1", method="qcqa-ac", step=9, total=900, layer=3, hypervolume=0.9
    )
    assert convergence([first]) == []
    (found,) = convergence([first, *_stage_two("qcqa-ac", {10: 0.3})])
    assert found.total == 500


def test_optimal_front_is_the_line_that_stage_two_cannot_cross(result: SearchResult) -> None:
    optimal = optimal_hypervolume(result)
    assert optimal is not None
    # It can be no less than that of GQA, whose plans it beats.
    gqa = result.front("gqa")
    least = hypervolume(
        gqa.cost, gqa.error, max_cost=result.spec.kv_bits, max_error=result.grams.trace
    )
    assert least <= optimal < 1
    figure = progress_figure(_stage_two("qcqa-ac", {10: 0.3}), optimal=optimal)
    (line,) = figure.layout.shapes
    assert line.y0 == line.y1 == optimal
    # Before stage 2 there is nothing to compare with it.
    assert not progress_figure([], optimal=optimal).layout.shapes
