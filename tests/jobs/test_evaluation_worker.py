"""Evaluations in processes of their own: cancel, death and resume."""

import os
import signal
import time
from collections.abc import Callable

import pytest

from qcqa.errors import RunError
from qcqa.jobs.evaluations import create_evaluation
from qcqa.jobs.launch import cancel, resume, start_worker
from qcqa.jobs.run import Run
from qcqa.jobs.store import delete_run
from qcqa.measure.benchmark import Benchmark
from qcqa.measure.evaluate import evaluate_plans
from qcqa.measure.evaluation import Evaluation
from qcqa.pick.points import plans_of_points

#: Bits per token of one head of the demo model: 32 elements of 16 bits.
HEAD = 512

POINTS = (("gqa", 48 * HEAD), ("optimal", 48 * HEAD), ("mqa", 12 * HEAD))


def _wait(condition: Callable[[], bool], *, seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def _in_the_middle_of_the_second_plan(run: Run) -> bool:
    stages = [event["stage"] for event in run.events() if event["event"] == "progress"]
    return bool(stages) and stages[-1] == "GQA at 50 %, 3 of 4: held-out stories"


def _undisturbed(search: Run, benchmark: Benchmark) -> list[Evaluation]:
    """Return the rows that an evaluation has when nothing stops it."""
    rows = evaluate_plans("demo", plans_of_points(search.result(), POINTS), benchmark)
    return sorted(rows, key=lambda row: (-row.kv_ratio, row.method))


def test_cancel_in_the_middle_of_a_model_keeps_figures_and_resume_finishes_with_the_same(
    search: Run,
) -> None:
    benchmark = Benchmark(text="demo", tasks=("demo_recall",), limit=40)
    evaluation = create_evaluation(search, points=POINTS, benchmark=benchmark)
    with start_worker(evaluation) as process:
        _wait(lambda: _in_the_middle_of_the_second_plan(evaluation))
        with pytest.raises(RunError, match="is still at work"):
            delete_run(search)
        asked = time.monotonic()
        status = cancel(evaluation)
        assert process.wait(30) == 130
    assert time.monotonic() - asked < 8
    assert status.state == "cancelled"
    # The worker may have come a plan further than was seen, but not to the end.
    assert [row.method for row in search.measured()] in (
        ["mha", "optimal"],
        ["mha", "gqa", "optimal"],
    )
    kept = {path: path.stat().st_mtime_ns for path in (search.folder / "measured").iterdir()}
    with resume(evaluation) as process:
        assert process.wait(300) == 0
    assert evaluation.status().state == "finished"
    assert list(search.measured()) == _undisturbed(search, benchmark)
    assert all(path.stat().st_mtime_ns == time_ns for path, time_ns in kept.items())


def test_a_killed_worker_shows_as_dead_and_damaged_files_are_measured_again(search: Run) -> None:
    benchmark = Benchmark(text="demo", limit=200)
    evaluation = create_evaluation(search, points=POINTS, benchmark=benchmark)
    with start_worker(evaluation) as process:
        _wait(lambda: _in_the_middle_of_the_second_plan(evaluation))
        os.kill(process.pid, signal.SIGKILL)
    assert evaluation.status().state == "dead"
    rows = sorted((search.folder / "measured").glob("*.json"))
    (scores,) = (search.folder / "measured").glob("source-*.safetensors")
    rows[0].write_text("{")
    scores.write_bytes(scores.read_bytes()[:40])
    assert 2 <= len(rows) < 4
    assert len(search.measured()) == len(rows) - 1
    with resume(evaluation) as process:
        assert process.wait(300) == 0
    assert list(search.measured()) == _undisturbed(search, benchmark)
