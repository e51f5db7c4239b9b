"""How far a search is, read from its events."""

from typing import Any

from qcqa.charts.jobs.stages import layers_figure, search_stages, stage_names
from qcqa.search.strategy.config import SearchSettings

NAMES = stage_names(("qcqa-ac", "optimal"), SearchSettings())


def _events(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"time": f"2026-01-01T00:00:{second:02}+00:00", "event": "progress", **row}
        for second, row in enumerate(rows)
    ]


def _layer(stage: str, layer: int, step: int, total: int = 2) -> dict[str, Any]:
    return {"stage": stage, "layer": layer, "step": step, "total": total}


READ = {"stage": "reading K/V weights", "step": 2, "total": 2}


def test_stages_are_those_of_the_methods_in_the_order_of_the_search() -> None:
    assert NAMES == [
        "reading K/V weights",
        "lower bound",
        "Optimal: stage 1",
        "QCQA-AC: stage 1",
        "QCQA-AC: stage 2",
    ]
    with_text = stage_names(("best",), SearchSettings())
    assert with_text[1] == "reading the calibration text"
    assert with_text[-2:] == ["Best heads: stage 1", "Best heads: measuring the loss"]


def test_tables_are_a_stage_where_they_are_made() -> None:
    tables = {"stage": "QCQA-AC: tables for stage 1", "step": 1, "total": 2}
    events = _events(READ, _layer("Optimal: stage 1", 1, 2), tables)
    stages = {stage.name: stage for stage in search_stages(NAMES, events, finished=False)}
    assert list(stages) == [*NAMES[:3], tables["stage"], *NAMES[3:]]
    assert stages["Optimal: stage 1"].state == "done"
    told = stages["QCQA-AC: tables for stage 1"]
    assert (told.state, told.step, told.total, told.num_layers) == ("working", 1, 2, 0)
    assert stages["QCQA-AC: stage 1"].state == "waiting"


def test_one_stage_is_at_work_and_those_before_it_are_done() -> None:
    events = _events(
        {"event": "started"},
        READ,
        _layer("Optimal: stage 1", 0, 1),
        _layer("Optimal: stage 1", 1, 2),
    )
    stages = search_stages(NAMES, events, finished=False)
    assert [stage.state for stage in stages] == ["done", "done", "done", "working", "waiting"]
    assert [stage.seconds for stage in stages] == [1.0, 0.0, 2.0, 0.0, 0.0]
    assert stages[2].layers_done == {0, 1}
    assert stages[3].layers_done == frozenset()


def test_keys_and_values_apart_are_two_steps_of_a_layer() -> None:
    name = "Optimal: stage 1"
    events = _events(READ, _layer(name, 0, 1, 4), _layer(name, 1, 2, 4), _layer(name, 0, 3, 4))
    assert search_stages(NAMES, events, finished=False)[2].layers_done == {0}


def test_worker_that_goes_on_says_again_what_is_done() -> None:
    name = "QCQA-AC: stage 1"
    first = [READ, _layer("Optimal: stage 1", 1, 2), _layer(name, 0, 1, 4), _layer(name, 0, 2, 4)]
    again = [{"event": "cancelled"}, {"event": "started"}, _layer(name, 0, 1, 4)]
    before = search_stages(NAMES, _events(*first), finished=False)
    after = search_stages(NAMES, _events(*first, *again), finished=False)
    assert before[3].layers_done == {0}
    # Of its two slots one was found finished so far; what was done before stays done.
    assert after[3].layers_done == frozenset()
    assert after[2].state == "done"
    assert after[2].layers_done == {0, 1}


def test_finished_search_has_finished_stages_whatever_its_events_say() -> None:
    stages = search_stages(NAMES, [], finished=True)
    assert {stage.state for stage in stages} == {"done"}


def test_strip_shows_what_is_done() -> None:
    events = _events(READ, _layer("Optimal: stage 1", 1, 1))
    shown = [s for s in search_stages(NAMES, events, finished=False) if s.num_layers]
    (strip,) = layers_figure(shown).data
    assert [list(row) for row in strip.z] == [[0, 1], [0, 0]]
    assert list(strip.y) == ["Optimal, stage 1", "QCQA-AC, stage 1"]
