"""``qcqa doctor``, on this machine as it is, and where something is missing."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import requires, version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

Qcqa = Callable[..., Any]

#: What runs a model, in the order in which it is tried.
PROOF = [
    "torch runs",
    "transformers runs",
    "a tiny model is converted",
    "it opens",
    "its live KV cache",
    "it writes",
]


def doctor_where(shadow: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Call the command where a folder comes before all installed packages."""
    path = os.pathsep.join(filter(None, [str(shadow), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, "-m", "qcqa", "doctor", *arguments],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )


def checks_where(shadow: Path) -> dict[str, dict[str, str]]:
    """Return the checks by name, after making sure that the command failed as it should."""
    done = doctor_where(shadow, "--json")
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    report = json.loads(done.stdout)
    assert report["passed"] is False
    return {check["name"]: check for check in report["checks"]}


def failed(checks: dict[str, dict[str, str]]) -> list[str]:
    return [name for name, check in checks.items() if check["state"] == "fail"]


def broken(name: str, code: str, folder: Path) -> Path:
    """Make a package whose import runs the code."""
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(code)
    return folder


def test_all_passes_here(qcqa: Qcqa) -> None:
    called = qcqa("doctor", "--json")
    assert called.code == 0, called.out + called.err
    report = json.loads(called.out)
    checks = {check["name"]: check for check in report["checks"]}
    assert report["passed"] is True
    assert len(checks) == len(report["checks"])
    assert failed(checks) == []
    assert [name for name in checks if name in PROOF] == PROOF
    assert checks["torch runs"]["found"] == version("torch")
    assert checks["transformers runs"]["found"].startswith(version("transformers"))
    # 5 + 4 of 24 heads, each of 8 numbers of 4 bytes.
    assert checks["its live KV cache"]["found"].startswith("288 bytes per token, as the plan")
    assert checks["it writes"]["found"].startswith("16 tokens")
    assert "cpu" in checks["devices"]["found"]
    assert "float32" in checks["bfloat16"]["found"]


def test_every_dependency_is_compared_with_the_range_that_the_package_states(qcqa: Qcqa) -> None:
    checks = {one["name"]: one for one in json.loads(qcqa("doctor", "--json").out)["checks"]}
    for requirement in map(Requirement, requires("qcqa-explorer") or []):
        if requirement.marker is None:
            found = checks[requirement.name]["found"]
            assert found == f"{version(requirement.name)} ({requirement.specifier})"


@pytest.mark.parametrize("name", ["transformers", "torch", "pandas"])
def test_a_release_that_is_not_supported_is_one_line(name: str, tmp_path: Path) -> None:
    metadata = tmp_path / f"{name}-99.0.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 99.0.0\n")
    done = doctor_where(tmp_path)
    assert done.returncode == 1
    lines = [line for line in done.stdout.splitlines() if line.startswith("fail ")]
    assert len(lines) == 1
    assert lines[0].split()[1:4] == [name, "99.0.0;", "expected"]
    assert f"pip install '{name}" in " ".join(done.stdout.split())
    assert done.stdout.rstrip().endswith("1 failed")


def test_a_torch_that_cannot_be_imported_is_one_reason(tmp_path: Path) -> None:
    code = "raise ImportError('libcudart.so.12: cannot open shared object file')"
    checks = checks_where(broken("torch", code, tmp_path))
    assert failed(checks) == PROOF
    assert checks["torch runs"]["found"] == (
        "ImportError: libcudart.so.12: cannot open shared object file"
    )
    assert checks["it writes"]["found"] == "not tried, since 'torch runs' failed"
    # What is installed is said all the same.
    assert checks["torch"]["state"] == checks["transformers"]["state"] == "pass"
    assert "memory" in checks


def test_a_transformers_that_cannot_be_imported_hides_nothing_of_torch(tmp_path: Path) -> None:
    code = "raise ValueError('numpy.dtype size changed\\nExpected 96')"
    checks = checks_where(broken("transformers", code, tmp_path))
    assert failed(checks) == PROOF[1:]
    assert checks["transformers runs"]["found"] == (
        "ValueError: numpy.dtype size changed Expected 96"
    )
    assert {"devices", "threads", "bfloat16"} <= set(checks)


def test_a_torch_that_crashes_is_a_line_as_well(tmp_path: Path) -> None:
    code = "import os, sys; print('illegal instruction', file=sys.stderr, flush=True); os.abort()"
    checks = checks_where(broken("torch", code, tmp_path))
    assert failed(checks) == ["proof"]
    assert checks["proof"]["found"] == (
        "its process ended after 'start' with exit code -6: illegal instruction"
    )


def test_a_home_that_is_a_file_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("QCQA_HOME", str(tmp_path / "file"))
    checks = checks_where(broken("torch", "raise ImportError('none')", tmp_path))
    assert failed(checks) == ["disk", *PROOF]
    assert "file is a file; expected a folder" in checks["disk"]["found"]
    assert checks["disk"]["found"].endswith("; set QCQA_HOME to another folder")


def test_its_help_says_what_it_is_for(qcqa: Qcqa) -> None:
    assert "bug report" in qcqa("doctor", "--help").out
