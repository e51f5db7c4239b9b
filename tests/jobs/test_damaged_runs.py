"""A damaged run is listed as such, with the reason, and can be deleted; others are as ever."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from qcqa.charts.jobs.runs_table import runs_table
from qcqa.errors import RunError
from qcqa.jobs.home import runs_folder
from qcqa.jobs.store import delete_run, find_any_run, find_run, list_runs

GOOD, BAD = "20260101-000000-good-0000", "20260102-000000-bad-0000"


def _without_rows(path: Path) -> None:
    pd.read_parquet(path).iloc[:0].to_parquet(path, index=False)


def _without_column(path: Path) -> None:
    pd.read_parquet(path).drop(columns="bits_per_token").to_parquet(path, index=False)


def _with(**changes: object) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def _text(content: bytes) -> Callable[[Path], None]:
    return lambda path: path.unlink() or path.write_bytes(content)  # type: ignore[func-returns-value]


DAMAGE: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "no text": ("status.json", _text(b"\xff"), "no UTF-8"),
    "no time": ("status.json", _with(state="queued", queued="x"), "queued: Value error"),
    "no zone": ("status.json", _with(state="queued", queued="2026-01-01T00:00:00"), "no time zone"),
    "too far": ("status.json", _with(fraction=7), "fraction: "),
    "no status": ("status.json", Path.unlink, "there is no file"),
    "a folder": ("status.json", lambda path: path.unlink() or path.mkdir(), "it is a folder"),
    "deep": ("config.json", _text(b"[" * 1000), "nested too deep"),
    "cut": ("config.json", _text(b"{"), "it is no JSON"),
    "unknown": ("config.json", _with(methods=["magic"]), "method 'magic'; expected one of"),
    "created": ("config.json", _with(created="yesterday"), "created: Value error"),
    "seed": ("config.json", _with(settings={"seed": -1}), "seed"),
    "no rows": ("fronts/optimal.plans.parquet", _without_rows, "it has no rows"),
    "no table": ("fronts/optimal.candidates.parquet", _text(b"x"), "it is no Parquet"),
    "no column": ("fronts/lower_bound.parquet", _without_column, "0 columns bits_per_token"),
    "no Grams": ("grams.safetensors", _text(b""), "no safetensors file"),
    "calibrated": ("calibration.json", lambda path: path.write_text("1"), "dictionary"),
}


@pytest.fixture
def runs(searched_demo: Path) -> Path:
    """Return the folder of a run beside another, both finished."""
    for name in (GOOD, BAD):
        shutil.copytree(searched_demo, runs_folder() / name)
    return runs_folder() / BAD


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_run_is_listed_with_the_reason_and_can_be_deleted(runs: Path, what: str) -> None:
    name, change, said = DAMAGE[what]
    change(runs / name)
    table = runs_table([run for run in list_runs() if run.id != "demo"])
    assert table.loc[BAD, "state"] == "damaged"
    assert said in table.loc[BAD, "problem"]
    assert "\n" not in table.loc[BAD, "problem"]
    assert table.loc[GOOD, "state"] == "finished"
    assert table.loc[GOOD, "best"] is not None
    delete_run(find_any_run(BAD))
    assert [path.name for path in runs_folder().iterdir()] == [GOOD]


def test_what_a_run_said_on_the_way_keeps_nobody_from_its_result(runs: Path) -> None:
    for content in (b"1\n", b"\xff\n", b"[" * 1000, b'{"event": "started"}\n', b'{"time": 1}'):
        (runs / "events.jsonl").write_bytes(content)
        assert find_run(BAD).events() == []
    assert set(runs_table(list_runs())["state"]) == {"finished"}


def test_one_that_cannot_be_opened_is_found_and_says_how_to_be_rid_of_it(runs: Path) -> None:
    (runs / "config.json").write_bytes(b"[" * 1000)
    for name in (BAD, BAD[:10], str(runs)):
        with pytest.raises(RunError, match=f"nested too deep.*qcqa runs delete {BAD}"):
            find_run(name)
        assert find_any_run(name).folder == runs
    elsewhere = runs.rename(runs.parents[2] / "elsewhere")
    with pytest.raises(RunError, match="nested too deep"):
        find_any_run(str(elsewhere))
