"""Runs in processes of their own: progress, cancel, death and resume."""

import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from qcqa.errors import CheckpointError, RunError
from qcqa.files.locks import hold
from qcqa.jobs.launch import cancel, requeue, resume, start_worker
from qcqa.jobs.run import Run
from qcqa.jobs.status import RunStatus
from qcqa.jobs.store import create_run, delete_run
from qcqa.jobs.worker import Cancelled, work
from qcqa.progress import Progress
from qcqa.search.front import Front
from qcqa.search.search import search_model
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.options import TwoStageOptions

METHODS = ("optimal", "qcqa-ac-wse")
#: Long enough to be interrupted on any machine, short enough to be finished by a test.
SETTINGS = SearchSettings(
    two_stage=TwoStageOptions(population_size=40, generations=150, stage2_generations=20),
    seed=3,
    workers=1,
)


def _wait(condition: Callable[[], bool], *, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def _layers_done(run: Run) -> int:
    return sum(
        event.get("stage", "").startswith("QCQA-AC by WSE: stage 1") and "layer" in event
        for event in run.events()
    )


def _same(one: Front, other: Front) -> bool:
    return (
        np.array_equal(one.choices, other.choices)
        and np.array_equal(one.error, other.error)
        and np.array_equal(one.cost, other.cost)
    )


@pytest.fixture
def run(tiny_llama: Path) -> Run:
    return create_run(model=str(tiny_llama), methods=METHODS, settings=SETTINGS)


def test_a_run_goes_from_queued_to_finished_and_its_files_hold_what_a_search_returns(
    run: Run, tiny_llama: Path
) -> None:
    assert run.status().state == "queued"
    with start_worker(run) as process:
        assert process.wait(300) == 0
    status = run.status()
    assert (status.state, status.fraction) == ("finished", 1.0)
    direct = search_model(str(tiny_llama), methods=METHODS, settings=SETTINGS)
    saved = run.result()
    assert set(saved.fronts) == set(direct.fronts) == {"mha", "gqa", "mqa", *METHODS}
    for name, front in direct.fronts.items():
        assert _same(front, saved.fronts[name])
    assert np.array_equal(saved.bound.error, direct.bound.error)
    fractions = [event for event in run.events() if event["event"] == "progress"]
    assert len(fractions) > 10


def test_a_killed_worker_shows_as_dead_and_resume_finishes_with_the_same_result(
    run: Run, tiny_llama: Path
) -> None:
    with start_worker(run) as process:
        _wait(lambda: _layers_done(run) >= 1)
        assert run.status().state == "running"
        os.kill(process.pid, signal.SIGKILL)
    assert run.status().state == "dead"
    with resume(run) as process:
        assert process.wait(300) == 0
    assert run.status().state == "finished"
    undisturbed = search_model(str(tiny_llama), methods=METHODS, settings=SETTINGS)
    assert _same(run.result().fronts["qcqa-ac-wse"], undisturbed.fronts["qcqa-ac-wse"])


def _left(*, fraction: float, own_from: float, seconds: float) -> float | None:
    since = (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()
    status = RunStatus(state="running", fraction=fraction, own_from=own_from, own_since=since)
    return status.seconds_left()


def test_time_left_is_by_what_this_worker_has_done() -> None:
    assert _left(fraction=0.25, own_from=0, seconds=60) == pytest.approx(180, rel=0.01)
    # Half was there: in a minute another worker did a tenth of all, and four tenths are left.
    assert _left(fraction=0.6, own_from=0.5, seconds=60) == pytest.approx(240, rel=0.01)
    for too_early in ({"fraction": 0.52, "seconds": 60}, {"fraction": 0.9, "seconds": 2}):
        assert _left(own_from=0.5, **too_early) is None
    assert _left(fraction=1, own_from=1, seconds=60) == pytest.approx(0)
    assert RunStatus(state="running", fraction=0.9).seconds_left() is None


def test_a_worker_that_goes_on_knows_what_others_had_done(run: Run) -> None:
    told: list[RunStatus] = []

    def stop_in_stage_one(progress: Progress) -> None:
        told.append(run.status())
        if progress.stage == "QCQA-AC by WSE: stage 1" and progress.step == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        work(run, on_progress=stop_in_stage_one)
    reached = run.status().fraction
    assert reached > 0.1
    assert max(status.own_from for status in told) < 0.02
    told.clear()
    requeue(run)
    work(run, on_progress=lambda _progress: told.append(run.status()))
    # Nothing is its own before it is further than the other was.
    assert {status.own_from for status in told if not status.own_since} == {reached}
    own = [status for status in told if status.own_since]
    assert own
    assert all(reached <= status.own_from <= status.fraction for status in own)


def test_cancel_stops_the_worker_and_keeps_what_is_finished(run: Run) -> None:
    with start_worker(run) as process:
        _wait(lambda: _layers_done(run) >= 1)
        status = cancel(run)
        assert process.wait(30) == 130
    assert status.state == "cancelled"
    assert "optimal" in run.result().fronts
    with pytest.raises(RunError, match="is cancelled; expected a run that is at work"):
        cancel(run)


def test_two_workers_cannot_have_one_run(tiny_llama: Path) -> None:
    endless = SearchSettings(two_stage=TwoStageOptions(generations=100_000), workers=1)
    run = create_run(model=str(tiny_llama), methods=METHODS, settings=endless)
    with start_worker(run) as process:
        _wait(lambda: run.status().state == "running")
        with pytest.raises(RunError, match="already being worked on"):
            work(run)
        with pytest.raises(RunError, match="is running"):
            requeue(run)
        process.terminate()


@pytest.mark.parametrize("queued", ["2999-01-01T00:00:00+00:00", "1999-01-01T00:00:00+00:00"])
@pytest.mark.parametrize("act", [requeue, cancel, delete_run])
def test_no_clock_keeps_a_run_that_nobody_has_from_going_on_or_away(
    run: Run, act: Callable[[Run], object], queued: str
) -> None:
    run.write_status(RunStatus(state="queued", queued=queued))
    with hold(run.lock):
        assert run.is_at_work()
    act(run)
    assert not run.is_at_work()
    left = {requeue: "queued", cancel: "cancelled"}
    assert run.folder.exists() is (act in left)
    assert act not in left or run.status().state == left[act]


def test_a_worker_that_dies_before_its_first_word_is_dead_and_no_other_starts_meanwhile(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexec sleep 600\n")
    silent.chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", str(silent))
        process = start_worker(run)
    with process:
        assert run.status().state == "running"
        for act in (start_worker, requeue, delete_run):
            with pytest.raises(RunError):
                act(run)
        process.kill()
    assert run.status().state == "dead"
    requeue(run)
    assert run.status().state == "queued"


def test_an_event_that_was_half_written_spoils_no_other(run: Run) -> None:
    (run.folder / "events.jsonl").write_text('{"event": "progr')
    work(run)
    assert run.events()[0]["event"] == "started"


def test_what_the_dead_left_below_a_run_goes_when_it_goes_on(run: Run) -> None:
    (run.folder / "fronts").mkdir()
    left = run.folder / "fronts" / ".old.plans.parquet.99.tmp"
    left.write_text("half")
    work(run)
    assert not left.exists()
    assert not list(run.folder.rglob("*.tmp"))


def test_a_run_that_fails_says_why_in_one_line(tmp_path: Path) -> None:
    run = create_run(model=str(tmp_path / "nowhere"), methods=METHODS, settings=SETTINGS)
    with pytest.raises(CheckpointError):
        work(run)
    status = run.status()
    assert status.state == "failed"
    assert status.error
    assert "nowhere" in status.error
    assert "\n" not in status.error


def test_a_finished_run_cannot_be_resumed(run: Run) -> None:
    work(run)
    with pytest.raises(RunError, match="is finished"):
        resume(run)


def test_a_worker_may_be_cancelled_as_soon_as_it_says_that_it_runs(
    tiny_llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cancelled_meanwhile() -> dict[str, str]:
        os.kill(os.getpid(), signal.SIGTERM)
        return {}

    monkeypatch.setattr("qcqa.jobs.worker.installed_versions", cancelled_meanwhile)
    run = create_run(model=str(tiny_llama), methods=("optimal",), settings=SearchSettings())
    with pytest.raises(Cancelled):
        work(run)
    assert run.status().state == "cancelled"
