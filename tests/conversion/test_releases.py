"""Releases of transformers: too old is refused in a line, newer than tested is said."""

import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from qcqa.conversion.travelling.releases_qcqa import (
    MIDDLE_TRANSFORMERS,
    NEWEST_TRANSFORMERS,
    OLDEST_TRANSFORMERS,
    require_supported,
)


@pytest.mark.parametrize("release", ["4.57.6", "5.9.0", "5.10.0"])
def test_too_old(release: str) -> None:
    with pytest.raises(ImportError, match=f"{release} is too old .* expected transformers 5"):
        require_supported(release)


@pytest.mark.parametrize("release", ["5.25.0", "6.0.0", "5.30.0.dev0"])
def test_newer_than_tested(release: str) -> None:
    with pytest.warns(UserWarning, match=f"{release} is newer than .* {NEWEST_TRANSFORMERS}"):
        require_supported(release)


@pytest.mark.parametrize(
    "release", [OLDEST_TRANSFORMERS, MIDDLE_TRANSFORMERS, NEWEST_TRANSFORMERS, "5.24.7"]
)
def test_supported(release: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        require_supported(release)


def test_command_line_says_it_in_one_line(tmp_path: Path) -> None:
    """With a transformers that says to be old, put before the real one."""
    (tmp_path / "sitecustomize.py").write_text(
        "import transformers\ntransformers.__version__ = '5.9.0'\n"
    )
    command = "from qcqa.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", command, "convert", "--run", "demo", "--budget", "0.5", "-o", "out"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}", "PATH": ""},
        check=False,
    )

    assert done.returncode == 2
    assert "transformers 5.9.0 is too old" in done.stderr
    assert len(done.stderr.splitlines()) == 1
