"""A finished search of the demo model, small enough to be measured by tests."""

import shutil
from pathlib import Path

import pytest

from qcqa.jobs.run import Run, open_run


@pytest.fixture
def search(searched_demo: Path, tmp_path: Path) -> Run:
    """Return a finished search of the test's own, among its runs."""
    folder = tmp_path / "home" / "runs" / "20260101-000000-demo-0000"
    shutil.copytree(searched_demo, folder)
    return open_run(folder)
