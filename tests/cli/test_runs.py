"""``qcqa runs``: naming, comparing and sharing runs."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qcqa.jobs.home import runs_folder
from qcqa.jobs.run import Run
from qcqa.jobs.status import RunStatus
from qcqa.jobs.store import create_run, delete_run, find_run, short_names
from qcqa.search.strategy.config import SearchSettings

Qcqa = Callable[..., Any]


@pytest.fixture
def run(run_folder: Path) -> Run:
    """Return a finished run among the user's own."""
    folder = runs_folder() / "20260101-000000-tiny-llama-0000"
    shutil.copytree(run_folder, folder)
    return find_run(folder.name)


def test_a_renamed_run_is_listed_by_its_name(qcqa: Qcqa, run: Run) -> None:
    name = "Mine [bold]and[/bold] yours"
    assert qcqa("runs", "rename", run.id, name).code == 0
    assert qcqa("runs", "note", run.id, "for the table").code == 0
    [row] = [row for row in json.loads(qcqa("runs", "list", "--json").out) if row["run"] == run.id]
    assert (row["name"], row["note"]) == (name, "for the table")
    assert row["best_at_half"]["metric"] == "relative WSE"
    shown = qcqa("runs", "show", run.id).out
    assert name in shown
    assert "for the table" in shown
    assert name in qcqa("runs", "rename", run.id, name).out


@pytest.mark.parametrize("command", [("rename", "x"), ("note", "x")])
def test_the_included_run_is_not_labelled(qcqa: Qcqa, command: tuple[str, str]) -> None:
    called = qcqa("runs", command[0], "demo", command[1])
    assert called.code == 2
    assert called.err == "qcqa: demo came with the package; expected a run of your own\n"


def test_the_list_fits_a_terminal_and_names_what_commands_take(qcqa: Qcqa, run: Run) -> None:
    listed = qcqa("runs", "list").out
    assert all(len(line) <= 80 for line in listed.splitlines())
    assert "20260101-000000 " in listed
    assert "relative" in listed
    assert find_run("20260101-000000").id == run.id


@pytest.mark.parametrize("file", ["config.json", "status.json", "fronts/gqa.plans.parquet"])
def test_a_damaged_run_is_listed_with_its_problem_beside_the_others(
    qcqa: Qcqa, run: Run, file: str
) -> None:
    (run.folder / file).write_bytes(b"{")
    other = create_run(model="org/m", methods=("optimal",), settings=SearchSettings())
    called = qcqa("runs", "list", "--json")
    assert called.code == 0
    rows = {row["run"]: row for row in json.loads(called.out)}
    assert rows[run.id]["state"] == "damaged"
    assert file in rows[run.id]["error"]
    assert str(run.folder) not in rows[run.id]["error"]
    assert rows[other.id]["state"] == "queued"
    assert "damaged" in qcqa("runs", "list").out
    shown = qcqa("runs", "show", run.id)
    assert shown.code == 2
    assert f"{file} is damaged" in shown.err
    assert shown.err.count("\n") == 1
    assert qcqa("runs", "delete", run.id, "--yes").code == 0
    assert not run.folder.exists()


def test_short_names_tell_runs_apart() -> None:
    ids = ["20260101-000000-a-12", "20260101-000000-a-13", "20260102-000000-b-44", "demo"]
    ids.append("20260101-000000-a-13/20260103-000000-77")
    assert short_names(ids) == {
        ids[0]: "20260101-000000-a-12",
        ids[1]: "20260101-000000-a-13",
        ids[2]: "20260102-000000",
        "demo": "demo",
        ids[4]: "20260101-000000-a-13/20260103-000000",
    }


def test_a_run_is_packed_and_loaded(qcqa: Qcqa, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "shared.zip"
    packed = json.loads(qcqa("runs", "pack", run.id, "-o", file, "--json").out)
    assert packed == {"run": run.id, "file": str(file), "bytes": file.stat().st_size}
    again = qcqa("runs", "pack", run.id, "-o", file)
    assert again.code == 2
    assert "exists" in again.err
    delete_run(run)
    assert json.loads(qcqa("runs", "load", file, "--json").out)["run"] == run.id
    assert f"qcqa runs show {run.id}" not in qcqa("runs", "load", file).out
    assert qcqa("plan", run.id, "--budget", "0.5", "--json").code == 0


def test_what_is_no_run_is_refused_in_one_line(qcqa: Qcqa, tmp_path: Path) -> None:
    called = qcqa("runs", "load", tmp_path / "nowhere.zip")
    assert (called.code, called.out) == (2, "")
    assert called.err.count("\n") == 1


def test_only_what_differs_is_printed(qcqa: Qcqa) -> None:
    runs = []
    for seed in (0, 5):
        settings = SearchSettings(seed=seed)
        runs.append(create_run(model="org/m", methods=("optimal",), settings=settings))
        runs[-1].write_status(RunStatus(state="cancelled"))
    ids = [run.id for run in runs]
    assert json.loads(qcqa("runs", "compare", *ids, "--json").out) == {
        "seed": {ids[0]: 0, ids[1]: 5}
    }
    printed = qcqa("runs", "compare", *ids).out
    assert "seed" in printed
    assert "generations" not in printed
    assert qcqa("runs", "compare", ids[0]).code == 2


@pytest.mark.parametrize("command", ["rename", "note", "compare", "pack", "load"])
def test_every_command_has_help_with_examples(qcqa: Qcqa, command: str) -> None:
    called = qcqa("runs", command, "--help")
    assert called.code == 0
    assert f"qcqa runs {command}" in called.out.split("Example", 1)[1]
