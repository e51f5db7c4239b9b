"""Disks that become full: one line, a state that says why, and nothing that is half there."""

import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from safetensors import safe_open

from qcqa.conversion.folder import convert_checkpoint
from qcqa.errors import ConversionError
from qcqa.jobs.plans import plan_at
from qcqa.jobs.run import open_run
from qcqa.model.safetensors_file import SafetensorsFile
from qcqa.packaged import demo_model_folder

Qcqa = Callable[..., Any]

_PAGE = 4096
_QUICK = ("--population", 20, "--generations", 3, "--stage2-generations", 3, "--workers", 1)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on a disk of 4 MiB, where this user may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, check=False).returncode:
        pytest.skip("no disk can be mounted here: nothing but a full one behaves like a full one")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def _fill(disk: Path, *, leave: int) -> None:
    """Fill a disk but for some bytes."""
    with suppress(OSError), (disk / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(_PAGE))
    size = (disk / "filler").stat().st_size
    with (disk / "filler").open("r+b") as file:
        file.truncate(size - leave)


def _last(said: str) -> str:
    """Return the last line."""
    return said.splitlines()[-1]


def _require_whole(folder: Path) -> None:
    """Read every file: what is there is whole."""
    assert not list(folder.rglob("*.tmp"))
    for path in folder.rglob("*.parquet"):
        pd.read_parquet(path)
    for path in folder.rglob("*.safetensors"):
        SafetensorsFile(path)
        with safe_open(path, framework="numpy") as file:
            assert list(file.keys())


@pytest.mark.parametrize("pages", [0, 1, 2, 3, 4, 6, 8, 12])
def test_a_search_fails_with_the_reason_and_goes_on_when_there_is_room(
    qcqa: Qcqa, tiny_llama: Path, disk: Path, pages: int
) -> None:
    _fill(disk, leave=pages * _PAGE)
    folder = disk / "run"
    called = qcqa("search", tiny_llama, "-m", "optimal", *_QUICK, "--out", folder)
    assert called.code == 2
    assert called.err.count("qcqa: ") == called.err.count("\n")
    assert "No space left on device" in called.err
    _require_whole(disk)
    if (folder / "config.json").exists():
        status = open_run(folder).status()
        assert status.state == "failed"
        assert "No space left on device" in str(status.error)
        assert "\n" not in str(status.error)
    (disk / "filler").unlink()
    if (folder / "config.json").exists():
        again = qcqa("runs", "resume", folder)
    else:
        again = qcqa("search", tiny_llama, "-m", "optimal", *_QUICK, "--out", folder)
    assert again.code == 0, again.err
    assert open_run(folder).status().state == "finished"


def test_an_evaluation_fails_with_the_reason(qcqa: Qcqa, searched_demo: Path, disk: Path) -> None:
    folder = disk / "run"
    shutil.copytree(searched_demo, folder)
    asked = ("--run", folder, "-m", "gqa", "--budgets", "50%", "--text", "demo", "--limit", 2)
    _fill(disk, leave=5 * _PAGE)
    called = qcqa("evaluate", *asked)
    assert called.code == 2
    # Before it a bar of a library that was imported before the command could turn it off.
    assert [line for line in called.err.splitlines() if "qcqa: " in line] == [_last(called.err)]
    assert _last(called.err).endswith("cannot be used (No space left on device)")
    (job,) = (open_run(path) for path in (folder / "evaluations").iterdir())
    assert job.status().state == "failed"
    assert "No space left on device" in str(job.status().error)
    _require_whole(disk)


def test_a_calibration_ends_in_one_line(qcqa: Qcqa, disk: Path) -> None:
    _fill(disk, leave=200 * _PAGE)
    called = qcqa("calibrate", "demo", "--text", "demo", "--tokens", 1024, "-o", disk / "cal")
    assert called.code == 2
    # Before it a bar of a library that was imported before the command could turn it off.
    assert [line for line in called.err.splitlines() if "qcqa: " in line] == [_last(called.err)]
    assert _last(called.err).endswith("cannot be used (No space left on device)")
    _require_whole(disk)


def test_nothing_is_left_of_a_conversion(searched_demo: Path, disk: Path) -> None:
    run = open_run(searched_demo)
    plan = plan_at(run, ("optimal", run.result().spec.kv_bits // 2))
    source = disk.parent / "source"
    shutil.copytree(demo_model_folder(), source, ignore=shutil.ignore_patterns("run", "tasks"))
    subprocess.run(["mount", "-o", "remount,size=32m", str(disk)], check=True)

    def fill(_written: int, _total: int) -> None:
        # There was room when it began.
        if not (disk / "filler").exists():
            _fill(disk, leave=_PAGE)

    with pytest.raises(ConversionError, match="No space left on device"):
        convert_checkpoint(str(source), plan, disk / "out", on_bytes=fill)
    assert [path.name for path in disk.iterdir()] == ["filler"]


@contextmanager
def _no_file_above(num_bytes: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_that_may_not_grow_is_told_like_a_full_disk(
    qcqa: Qcqa, tiny_llama: Path, tmp_path: Path
) -> None:
    with _no_file_above(3000):
        called = qcqa("search", tiny_llama, "-m", "optimal", *_QUICK, "--out", tmp_path / "run")
    assert called.code == 2
    assert called.err.count("\n") == 1
    assert "File too large" in called.err
    assert open_run(tmp_path / "run").status().state == "failed"
    _require_whole(tmp_path / "run")
