"""The progress of a search as a chart."""

from typing import Any

from qcqa.report.progress import has_hypervolume, progress_figure


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
