"""Locks that end with their process, and looks at them that take nothing."""

import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from qcqa.files.locks import BusyError, hold, is_held
from qcqa.jobs.run import Run
from qcqa.jobs.status import RunStatus
from qcqa.jobs.store import create_run
from qcqa.search.strategy.config import SearchSettings

_HOLDER = """
import sys, time
from pathlib import Path
from qcqa.files.locks import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def holder(path: Path) -> "subprocess.Popen[bytes]":
    """Return a process that holds a lock."""
    process = subprocess.Popen([sys.executable, "-c", _HOLDER, path], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


@pytest.fixture
def dead() -> Run:
    """Return a run whose worker is gone, and has left its lock's file."""
    run = create_run(model="org/m", methods=("optimal",), settings=SearchSettings())
    run.write_status(RunStatus(state="running", pid=os.getpid()))
    with hold(run.lock):
        assert run.status().state == "running"
    return run


def test_many_looks_at_a_dead_run_agree_that_it_is_dead(dead: Run) -> None:
    with ThreadPoolExecutor(4) as several:
        states = list(several.map(lambda _: dead.status().state, range(2000)))
    assert set(states) == {"dead"}


def test_a_lock_ends_with_a_killed_process_and_no_copy_has_it(dead: Run, tmp_path: Path) -> None:
    with holder(dead.lock) as process:
        assert dead.is_at_work()
        assert dead.status().state == "running"
        shutil.copytree(dead.folder, tmp_path / "copy")
        assert not is_held(tmp_path / "copy" / dead.lock.name)
        with pytest.raises(BusyError), hold(dead.lock, timeout=0.1):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert dead.status().state == "dead"


def test_a_look_makes_no_file_and_no_pipe_stops_it(tmp_path: Path) -> None:
    assert not is_held(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe")
    assert not is_held(tmp_path / "pipe")
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_a_lock_is_handed_over_without_a_gap(tmp_path: Path) -> None:
    with hold(tmp_path / "lock") as first:
        second = os.dup(first)
    assert is_held(tmp_path / "lock")
    with hold(tmp_path / "lock", inherited=second):
        assert is_held(tmp_path / "lock")
    assert not is_held(tmp_path / "lock")
