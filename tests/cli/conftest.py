"""A way to call the command as a shell would, in this process."""

import contextlib
import io
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import pytest

from qcqa.cli.main import main


@dataclass(frozen=True)
class Called:
    code: int
    out: str
    err: str


def call(*arguments: object) -> Called:
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with (
        patch.object(sys, "argv", ["qcqa", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
    return Called(code, out.getvalue(), err.getvalue())


@pytest.fixture
def qcqa() -> Callable[..., Called]:
    return call


@pytest.fixture(scope="module")
def run_folder(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished run of all methods; nobody writes to it."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    with patch.dict(os.environ, {"HF_HUB_OFFLINE": "1"}):
        called = call("search", tiny_llama, *QUICK, "--out", folder)
    assert called.code == 0, called.err
    return folder


QUICK = ("--population", 20, "--generations", 5, "--stage2-generations", 10)


@pytest.fixture
def demo_run(searched_demo: Path, tmp_path: Path) -> Path:
    """Return the folder of a finished search of the test's own."""
    folder = tmp_path / "home" / "runs" / "run"
    shutil.copytree(searched_demo, folder)
    return folder
