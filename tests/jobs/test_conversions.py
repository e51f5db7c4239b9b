"""Conversions as jobs of a search: made, carried out, cancelled, resumed, deleted."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import qcqa
from qcqa.conversion.converted import Converted
from qcqa.errors import BudgetError, ConversionError, RunError
from qcqa.files.locks import hold
from qcqa.jobs.conversions import conversions_of, converted_of, create_conversion, default_folder
from qcqa.jobs.jobs import jobs_of
from qcqa.jobs.launch import cancel, requeue, resume, start_worker
from qcqa.jobs.outcomes import load_outcome
from qcqa.jobs.plans import plan_at, plan_of_run
from qcqa.jobs.run import Run, open_run
from qcqa.jobs.status import RunStatus
from qcqa.jobs.store import delete_run, find_run
from qcqa.jobs.worker import work
from qcqa.plan.file import load_plan

#: Bits per token of one head of the demo model: 32 elements of 16 bits.
HEAD = 512

POINT = ("optimal", 48 * HEAD)


def _wait(condition: Callable[[], bool], *, seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def test_the_worker_writes_a_checkpoint_and_measures_its_cache(search: Run, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "half"
    conversion = create_conversion(search, point=POINT, folder=folder)
    assert conversion.status().state == "queued"
    assert not folder.exists()
    again = open_run(conversion.folder)
    assert (again.config.kind, again.config.name) == ("conversion", "half")
    assert find_run(conversion.id).folder == conversion.folder
    work(conversion)
    status = conversion.status()
    assert (status.state, status.fraction) == ("finished", 1.0)
    converted = converted_of(conversion)
    plan = plan_of_run(search, 48 * HEAD, method="optimal")
    assert load_plan(folder / "plan.json") == plan
    assert plan.kv_ratio == 0.5
    assert converted.folder == str(folder)
    assert converted.promised_bytes_per_token == plan.kv_bytes_per_token
    assert converted.measured_bytes_per_token == plan.kv_bytes_per_token
    assert converted.weight_bytes < converted.source_bytes
    assert qcqa.load(folder).num_parameters() > 0
    stages = {event["stage"] for event in conversion.events() if event["event"] == "progress"}
    assert stages == {"writing weights, MiB", "measuring the KV cache"}


def test_what_cannot_end_well_leaves_no_job(search: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(ConversionError, match="is not empty"):
        create_conversion(search, point=POINT, folder=tmp_path)
    with pytest.raises(BudgetError, match="expected at least 12"):
        create_conversion(search, point=("optimal", 3 * HEAD), folder=tmp_path / "out")
    with pytest.raises(ConversionError, match="every head keeps its own"):
        create_conversion(search, point=("mha", 96 * HEAD), folder=tmp_path / "out")
    assert conversions_of(search) == []


def test_a_job_of_an_earlier_release_counted_heads(search: Run, tmp_path: Path) -> None:
    config = create_conversion(search, point=("optimal", 48), folder=tmp_path / "out").config
    assert config.kind == "conversion"
    assert config.point == ("optimal", 48)
    assert plan_at(search, config.point) == plan_at(search, POINT)


def test_two_conversions_do_not_write_to_one_folder(search: Run, tmp_path: Path) -> None:
    first = create_conversion(search, point=POINT, folder=tmp_path / "out")
    with pytest.raises(ConversionError, match=f"{first.id} is writing to"):
        create_conversion(search, point=("gqa", 48 * HEAD), folder=tmp_path / "out")
    first.write_status(RunStatus(state="cancelled"))
    create_conversion(search, point=("gqa", 48 * HEAD), folder=tmp_path / "out")


def test_cancel_leaves_nothing_half_written_and_resume_finishes(
    search: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "out" / "half"
    conversion = create_conversion(search, point=POINT, folder=folder)
    with start_worker(conversion) as process:
        # Its temporary folder stands beside the one that it is to become.
        _wait(lambda: bool(_names(folder.parent)) or process.poll() is not None)
        status = cancel(conversion) if process.poll() is None else conversion.status()
        process.wait(30)
    assert status.state in ("cancelled", "finished")
    if status.state == "cancelled":
        assert _names(folder.parent) <= {"half"}
        with pytest.raises(RunError, match=r"converted\.json cannot be read"):
            converted_of(conversion)
        with resume(conversion) as process:
            assert process.wait(300) == 0
    assert conversion.status().state == "finished"
    assert _names(folder.parent) == {"half"}
    assert converted_of(conversion).measured_bytes_per_token is not None


def test_a_killed_worker_shows_as_dead_and_its_leftovers_go(search: Run, tmp_path: Path) -> None:
    folder = tmp_path / "out" / "half"
    conversion = create_conversion(search, point=POINT, folder=folder)
    with start_worker(conversion) as process:
        _wait(lambda: conversion.status().state == "running")
        os.kill(process.pid, signal.SIGKILL)
    assert conversion.status().state == "dead"
    leftover = folder.parent / f".half.{process.pid}.tmp"
    leftover.mkdir(parents=True, exist_ok=True)
    (leftover / "model.safetensors").write_bytes(b"half of it")
    others = folder.parent / f".half.{os.getpid()}.tmp"
    others.mkdir()
    with hold(others), resume(conversion) as process:
        assert process.wait(300) == 0
    # That of a process that lives is not ours to remove.
    assert _names(folder.parent) == {"half", others.name}


def test_a_folder_that_was_whole_when_the_worker_died_is_only_measured(
    search: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "half"
    conversion = create_conversion(search, point=POINT, folder=folder)
    work(conversion)
    written = (folder / "model.safetensors").stat().st_mtime_ns
    (conversion.folder / "converted.json").unlink()
    conversion.write_status(RunStatus(state="failed"))
    requeue(conversion)
    work(conversion)
    assert (folder / "model.safetensors").stat().st_mtime_ns == written
    assert converted_of(conversion).measured_bytes_per_token is not None


def test_a_folder_that_was_filled_meanwhile_fails_in_one_line(search: Run, tmp_path: Path) -> None:
    conversion = create_conversion(search, point=POINT, folder=tmp_path / "half")
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "mine").write_text("mine")
    with pytest.raises(ConversionError, match="is not empty"):
        work(conversion)
    status = conversion.status()
    assert status.state == "failed"
    assert status.error
    assert "is not empty" in status.error
    assert _names(tmp_path / "half") == {"mine"}


def test_too_little_memory_to_open_it_is_no_failure(
    search: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversion = create_conversion(search, point=POINT, folder=tmp_path / "half")
    monkeypatch.setattr("qcqa.export.convert.free_memory_bytes", lambda: 1000)
    work(conversion)
    assert converted_of(conversion).measured_bytes_per_token is None


def test_deleting_a_conversion_leaves_its_checkpoint(search: Run, tmp_path: Path) -> None:
    conversion = create_conversion(search, point=POINT, folder=tmp_path / "half")
    with hold(conversion.lock), pytest.raises(RunError, match="is still at work"):
        delete_run(search)
    work(conversion)
    delete_run(conversion)
    assert jobs_of(search) == []
    assert (tmp_path / "half" / "model.safetensors").exists()


def test_default_folder_is_named_after_the_plan_and_new(search: Run, tmp_path: Path) -> None:
    plan = plan_of_run(search, 36 * HEAD, method="optimal")
    first = default_folder(search, plan)
    assert first == tmp_path / "home" / "converted" / "demo-optimal-kv37.5"
    first.mkdir(parents=True)
    assert default_folder(search, plan).name == "demo-optimal-kv37.5-2"


def test_damaged_result_is_one_line(search: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is of kind search; expected a conversion"):
        converted_of(search)
    for content in ("{", "[]", json.dumps({"format": "qcqa-converted-1"})):
        path = tmp_path / "converted.json"
        path.write_text(content)
        with pytest.raises(RunError, match=r"converted\.json is damaged"):
            load_outcome(Converted, path)
    path.write_text('{"format": "qcqa-converted-9"}')
    with pytest.raises(RunError, match="qcqa-converted-9"):
        load_outcome(Converted, path)
