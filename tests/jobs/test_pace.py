"""What earlier searches say of the machine."""

import json
from pathlib import Path

import pytest

from qcqa.jobs.evaluations import create_evaluation
from qcqa.jobs.pace import machine_pace, measuring_pace
from qcqa.jobs.run import Run, open_run
from qcqa.jobs.status import RunStatus
from qcqa.jobs.store import create_run
from qcqa.jobs.worker import work
from qcqa.measure.benchmark import Benchmark, DecodeLoad
from qcqa.pick.points import points_along
from qcqa.search.method_seconds import weights_seconds
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.options import ExactOptions, TwoStageOptions

SETTINGS = SearchSettings(
    two_stage=TwoStageOptions(population_size=10, generations=3, stage2_generations=10),
    exact=ExactOptions(restarts=0),
    workers=1,
)


@pytest.fixture
def finished(tiny_llama: Path) -> Run:
    run = create_run(model=str(tiny_llama), methods=("optimal", "qcqa-ac-wse"), settings=SETTINGS)
    work(run)
    return run


def _rewrite(run: Run, seconds: int, *more: dict[str, str]) -> None:
    """Have the run's QCQA-AC take so many seconds."""
    rows: list[dict[str, object]] = [
        {"event": "started"},
        {"event": "progress", "stage": "reading K/V weights"},
        {"event": "progress", "stage": "Optimal: stage 1", "method": "optimal"},
    ]
    rows = [{"time": "2026-01-01T00:00:00+00:00", **row} for row in (*more, *rows)]
    end = {"event": "progress", "stage": "QCQA-AC by WSE: stage 1", "method": "qcqa-ac-wse"}
    rows.append({"time": f"2026-01-01T00:{seconds // 60:02}:{seconds % 60:02}+00:00", **end})
    (run.folder / "events.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")


def test_pace_is_what_a_search_took_over_its_estimate(finished: Run) -> None:
    assert machine_pace([finished])[1] == 0, "a search of a moment tells nothing"
    spec = finished.result().spec
    expected = sum(weights_seconds(name, spec, SETTINGS) for name in ("optimal", "qcqa-ac-wse"))
    _rewrite(finished, 8)
    pace, count = machine_pace([finished, finished])
    assert count == 2
    # Beyond any machine: what was measured is something else.
    assert 8 / expected > 5
    assert pace == 5.0


def test_runs_that_tell_nothing_are_left_out(finished: Run) -> None:
    _rewrite(finished, 8, {"event": "started"})
    assert machine_pace([finished]) == (1.0, 0)
    _rewrite(finished, 8)
    finished.write_status(finished.status().model_copy(update={"state": "cancelled"}))
    assert machine_pace([finished]) == (1.0, 0)
    (finished.folder / "status.json").write_text("{")
    assert machine_pace([finished]) == (1.0, 0)


def _evaluation(search: Run, seconds: int, **changes: object) -> Run:
    """Return an evaluation that was expected to take ten seconds and took so many."""
    points = points_along(search.result(), (0.5,))
    made = create_evaluation(search, points=points, benchmark=Benchmark(text="demo"))
    config = made.config.model_copy(update={"expected_seconds": 10.0, **changes})
    (made.folder / "config.json").write_text(config.model_dump_json())
    made.write_status(
        RunStatus(
            state="finished",
            started="2026-01-01T00:00:00+00:00",
            finished=f"2026-01-01T00:00:{seconds:02}+00:00",
        )
    )
    return open_run(made.folder)


def test_measuring_goes_at_the_pace_of_finished_jobs_of_its_kind(search: Run) -> None:
    jobs = [_evaluation(search, 20), _evaluation(search, 30), _evaluation(search, 40)]
    like = jobs[0].config
    assert measuring_pace(jobs, like=like) == (3.0, 3)
    for other in (
        _evaluation(search, 20, benchmark=Benchmark(speed=DecodeLoad(8))),
        _evaluation(search, 20, dtype="float32"),
        _evaluation(search, 20, expected_seconds=None),
        _evaluation(search, 2),
    ):
        assert measuring_pace([other], like=like) == (1.0, 0)
    jobs[0].write_status(jobs[0].status().model_copy(update={"state": "cancelled"}))
    assert measuring_pace(jobs[:1], like=like) == (1.0, 0)
