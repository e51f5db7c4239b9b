"""``qcqa demo --run``: what an earlier call has done is not done again."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qcqa.packaged import demo_run_folder

Qcqa = Callable[..., Any]


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Return a copy of the run that travels with the package."""
    included = demo_run_folder()
    assert included is not None
    return Path(shutil.copytree(included, tmp_path / "run"))


def test_run_that_was_made_is_kept_and_its_figures_are_told(qcqa: Qcqa, made: Path) -> None:
    kept = {path: path.stat().st_mtime_ns for path in (made / "fronts").iterdir()}
    called = qcqa("demo", "--run", made, "--json")
    assert called.code == 0, called.err
    rows = json.loads(called.out)
    assert {row["method"] for row in rows} >= {"mha", "gqa", "mqa", "qcqa-ac", "qcqa-ec", "best"}
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items())


def test_folder_with_something_else_is_refused(qcqa: Qcqa, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    called = qcqa("demo", "--run", tmp_path)
    assert called.code == 2
    assert str(tmp_path) in called.err
    assert (tmp_path / "notes.txt").read_text() == "mine"
