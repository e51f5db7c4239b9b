"""Evaluations of a search: made, found, carried out, deleted, and where their figures go."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qcqa.errors import BudgetError, CheckpointError, EvaluationError, RunError
from qcqa.files.locks import hold
from qcqa.jobs.evaluations import (
    create_evaluation,
    evaluation_before_start,
    evaluations_of,
    figures_of,
)
from qcqa.jobs.jobs import search_of
from qcqa.jobs.launch import requeue
from qcqa.jobs.run import Run, open_run
from qcqa.jobs.status import RunStatus
from qcqa.jobs.store import delete_run, find_run, list_runs
from qcqa.jobs.worker import work
from qcqa.measure.benchmark import Benchmark, DecodeLoad
from qcqa.packaged import demo_run_folder
from qcqa.plan.plan import Plan

#: Bits per token of one head of the demo model: 32 elements of 16 bits.
HEAD = 512

POINTS = (("gqa", 48 * HEAD), ("optimal", 48 * HEAD))
BENCHMARK = Benchmark(text="demo", limit=2)


def _create(run: Run, **changes: Any) -> Run:
    return create_evaluation(run, **{"points": POINTS, "benchmark": BENCHMARK, **changes})


def _files(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".worker.lock"
    }


@pytest.fixture
def bundled(monkeypatch: pytest.MonkeyPatch, searched_demo: Path, tmp_path: Path) -> Iterator[Run]:
    """Return a search that came with the package, as if it did."""
    folder = tmp_path / "package" / "run"
    shutil.copytree(searched_demo, folder)
    for module in ("store", "jobs"):
        monkeypatch.setattr(f"qcqa.jobs.{module}.demo_run_folder", lambda: folder)
    before = _files(folder)
    yield open_run(folder, bundled=True)
    assert _files(folder) == before


def test_plans_whose_cache_loses_something_take_longer(
    search: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def estimated() -> float:
        _, estimate = evaluation_before_start(search, points=POINTS, benchmark=BENCHMARK)
        return estimate.seconds

    whole = estimated()
    monkeypatch.setattr(Plan, "has_codecs", True, raising=False)
    assert estimated() > whole


def test_an_evaluation_opens_again_with_its_config(search: Run) -> None:
    asked = Benchmark(text="demo", tasks=("demo_recall",), limit=3, speed=DecodeLoad(16, 2, 4))
    made = _create(search, benchmark=asked, dtype="float32")
    again = open_run(made.folder)
    assert again.config == made.config
    assert (again.config.kind, again.config.name) == ("evaluation", "2 plans")
    assert made.folder.parent == search.folder / "evaluations"
    assert again.status().state == "queued"
    assert search_of(again).folder == search.folder


def test_evaluations_are_found_by_the_id_of_their_search_and_their_own(search: Run) -> None:
    first, second = _create(search), _create(search)
    config = json.loads((first.folder / "config.json").read_text())
    config["created"] = "2026-01-01T00:00:00+00:00"
    (first.folder / "config.json").write_text(json.dumps(config))
    assert [one.folder for one in evaluations_of(search)] == [second.folder, first.folder]
    assert second.id == f"{search.id}/{second.folder.name}"
    for name in (second.id, second.id[:-1], f"2026/{second.folder.name}", str(second.folder)):
        assert find_run(name).folder == second.folder
    with pytest.raises(RunError, match=f"no run 'none' in the jobs of {search.id}"):
        find_run(f"{search.id}/none")
    assert [run.folder for run in list_runs() if isinstance(run, Run) and not run.bundled] == [
        search.folder
    ]


def test_a_damaged_evaluation_is_left_out(search: Run) -> None:
    (_create(search).folder / "config.json").write_text('{"format": "qcqa-run"')
    assert evaluations_of(search) == []


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"points": ()}, EvaluationError, "no plan to measure"),
        ({"points": (("magic", 48 * HEAD),)}, BudgetError, "method 'magic'; expected one that was"),
        ({"points": (("optimal", 3 * HEAD),)}, BudgetError, "expected at least 12"),
        (
            {"benchmark": Benchmark(text="./none.txt")},
            EvaluationError,
            "none.txt cannot be read: there is no file",
        ),
        (
            {"benchmark": Benchmark(tasks=("./x.yaml",))},
            EvaluationError,
            "x.yaml cannot be read: there is no file",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused_and_leaves_no_folder(
    search: Run, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        _create(search, **changes)
    assert evaluations_of(search) == []


def test_files_are_found_from_any_folder(
    search: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text.txt").write_text("The cat sat. " * 50)
    monkeypatch.chdir(tmp_path)
    config = _create(search, benchmark=Benchmark(text="text.txt")).config
    assert config.kind == "evaluation"
    assert config.benchmark.text == str(tmp_path / "text.txt")


def test_an_evaluation_is_no_search(search: Run, tmp_path: Path) -> None:
    evaluation = _create(search)
    for ask in (lambda: evaluation.search, evaluation.result):
        with pytest.raises(RunError, match="is of kind evaluation; expected a search"):
            ask()
    with pytest.raises(RunError, match="is of kind evaluation; expected a search"):
        _create(evaluation)
    with pytest.raises(RunError, match="is of kind search; expected an evaluation"):
        figures_of(search)
    shutil.copytree(evaluation.folder, tmp_path / "home" / "runs" / "stray")
    with pytest.raises(RunError, match="without its search"):
        open_run(tmp_path / "home" / "runs" / "stray")


def test_the_worker_measures_source_and_plans_and_says_how_far_it_is(search: Run) -> None:
    evaluation = _create(search, benchmark=Benchmark("demo", ("demo_recall",), limit=2))
    work(evaluation)
    status = evaluation.status()
    assert (status.state, status.fraction) == ("finished", 1.0)
    stages = [event["stage"] for event in evaluation.events() if event["event"] == "progress"]
    assert list(dict.fromkeys(stages)) == [
        f"{model}: {part}"
        for model in ("source, 1 of 3", "Optimal at 50 %, 2 of 3", "GQA at 50 %, 3 of 3")
        for part in ("held-out stories", "recall")
    ]
    rows = search.measured()
    assert [row.method for row in rows] == ["mha", "gqa", "optimal"]
    assert rows == figures_of(evaluation)
    for row in rows:
        cache = row.figure("cache_bytes_per_token")
        assert cache
        assert cache.value == row.kv_bytes_per_token
        assert row.figure("heldout/perplexity")
        assert row.figure("demo_recall/acc")
    for row in rows[1:]:
        difference = row.figure("heldout/nll_difference")
        assert difference
        assert difference.value > 0


def test_figures_of_another_benchmark_are_kept_apart(search: Run) -> None:
    first = _create(search)
    work(first)
    second = _create(search, benchmark=Benchmark("demo", limit=3), points=POINTS[:1])
    work(second)
    assert [row.benchmark.limit for row in figures_of(second)] == [3, 3]
    assert len(search.measured()) == len(figures_of(first)) + len(figures_of(second)) == 5


def test_what_is_measured_already_is_not_measured_again(search: Run) -> None:
    work(_create(search))
    before = _files(search.folder / "measured")
    again = _create(search)
    work(again)
    assert _files(search.folder / "measured") == before
    assert not [event for event in again.events() if event["event"] == "progress"]


def test_a_bundled_run_stays_as_it_is_and_its_figures_go_to_the_user(
    bundled: Run, tmp_path: Path
) -> None:
    evaluation = _create(bundled)
    assert evaluation.folder.is_relative_to(tmp_path / "home" / "bundled")
    assert evaluation.id == f"demo/{evaluation.folder.name}"
    assert find_run(evaluation.id).folder == evaluation.folder
    assert search_of(evaluation).folder == bundled.folder
    work(evaluation)
    assert [row.method for row in bundled.measured()] == ["mha", "gqa", "optimal"]
    delete_run(evaluation)
    assert evaluations_of(bundled) == []
    assert len(bundled.measured()) == 3


def test_figures_that_came_with_the_package_are_shown_and_not_measured_again(
    search: Run, bundled: Run
) -> None:
    work(_create(search, points=POINTS[:1]))
    shutil.copytree(search.folder / "measured", bundled.folder / "measured")
    assert [row.method for row in bundled.measured()] == ["mha", "gqa"]
    before = _files(bundled.folder)
    evaluation = _create(bundled)
    work(evaluation)
    assert [row.method for row in bundled.measured()] == ["mha", "gqa", "optimal"]
    stages = {event.get("stage") for event in evaluation.events()} - {None}
    assert stages == {"Optimal at 50 %, 2 of 3: held-out stories"}
    # Away again, for the fixture's own look at the package.
    assert _files(bundled.folder) == before
    shutil.rmtree(bundled.folder / "measured")


def test_the_included_demo_run_has_a_folder_for_additions_of_its_own(tmp_path: Path) -> None:
    folder = demo_run_folder()
    assert folder is not None
    run = open_run(folder, bundled=True)
    assert run.additions.parent == tmp_path / "home" / "bundled"
    assert open_run(folder).additions == folder


def test_a_run_that_cannot_be_written_is_one_clear_line(search: Run) -> None:
    (search.folder / "evaluations").write_text("in the way")
    with pytest.raises(RunError, match="cannot write to"):
        _create(search)
    (search.folder / "evaluations").unlink()
    (search.folder / "measured").write_text("in the way")
    evaluation = _create(search)
    with pytest.raises(EvaluationError, match="figures cannot be kept in"):
        work(evaluation)
    status = evaluation.status()
    assert status.state == "failed"
    assert status.error
    assert "figures cannot be kept in" in status.error


def test_a_search_is_not_deleted_under_its_evaluation(search: Run) -> None:
    evaluation = _create(search)
    evaluation.write_status(RunStatus(state="running"))
    at_work = pytest.raises(RunError, match=f"{evaluation.id} is still at work; first:")
    with hold(evaluation.lock), at_work:
        delete_run(search)
    delete_run(search)
    assert not search.folder.exists()


def test_an_evaluation_whose_model_is_gone_fails_in_one_line_and_can_be_resumed(
    search: Run,
) -> None:
    config = json.loads((search.folder / "config.json").read_text())
    (search.folder / "config.json").write_text(json.dumps(config | {"model": "./gone"}))
    evaluation = _create(search)
    with pytest.raises(CheckpointError, match=r"no folder \./gone"):
        work(evaluation)
    assert evaluation.status().state == "failed"
    (search.folder / "config.json").write_text(json.dumps(config))
    requeue(evaluation)
    work(evaluation)
    assert evaluation.status().state == "finished"
