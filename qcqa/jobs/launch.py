"""Starting, cancelling and resuming a run's worker process."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from qcqa.errors import RunError
from qcqa.files.locks import BusyError, hold
from qcqa.jobs.clock import utc_now
from qcqa.jobs.resumable import require_resumable
from qcqa.jobs.run import Run
from qcqa.jobs.status import LIVE_STATES, RunStatus

#: For a worker to stop, and for looks at its lock to end.
_SECONDS_TO_STOP, _SECONDS_TO_WAIT = 10.0, 1.0


def start_worker(run: Run) -> "subprocess.Popen[bytes]":
    """Start the worker of a queued run in a process of its own.

    The caller keeps the returned handle and polls it, so that no zombie is left; the worker goes
    on when the caller ends. What it prints goes to the run's ``log.txt``.

    The run's lock is taken here and handed over, and the state says so first: a worker that dies
    before its first word is dead, and nobody has to guess how long an interpreter may take.

    Raises
    ------
    RunError
        If another worker has the run.
    """
    command = [sys.executable, "-m", "qcqa", "worker", str(run.folder.resolve())]
    with _held(run) as lock, (run.folder / "log.txt").open("ab") as log:
        if os.name == "posix":
            command += ["--lock", str(lock)]
            own_from = run.status().own_from
            run.write_status(RunStatus(state="running", stage="starting", own_from=own_from))
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # On Windows a lock is its process's own: the worker takes it when this one lets go.
            pass_fds=(lock,) if os.name == "posix" else (),
        )


@contextmanager
def _held(run: Run) -> Iterator[int]:
    """Hold a run's lock, or say that somebody else does."""
    try:
        with hold(run.lock, timeout=_SECONDS_TO_WAIT) as lock:
            yield lock
    except BusyError:
        raise RunError(f"{run.id} is already being worked on by another process") from None


def cancel(run: Run) -> RunStatus:
    """Ask the worker to stop, wait until it has, and return the final status.

    A run that still waits for a worker is cancelled at once.

    Raises
    ------
    RunError
        If the run is not at work, or its worker does not stop.
    """
    status = run.status()
    if status.state not in LIVE_STATES:
        raise RunError(f"{run.id} is {status.state}", expected="a run that is at work")
    if not run.is_at_work():
        with _held(run):
            run.write_status(
                status.model_copy(update={"state": "cancelled", "finished": utc_now()})
            )
        return run.status()
    deadline = time.monotonic() + _SECONDS_TO_STOP
    while time.monotonic() < deadline:
        # The pid is that of the lock's holder, since the worker writes it once it has the lock.
        if status.state == "running" and status.pid is not None:
            # It may have ended by itself just now.
            with suppress(ProcessLookupError):
                os.kill(status.pid, signal.SIGTERM)
        time.sleep(0.2)
        status = run.status()
        if status.state not in LIVE_STATES:
            return status
    raise RunError(
        f"the worker of {run.id} (process {status.pid}) does not stop", remedy="kill it by hand"
    )


def requeue(run: Run) -> None:
    """Make a run that stopped early ready for another worker.

    Raises
    ------
    QCQAError
        As :func:`~qcqa.jobs.resumable.require_resumable`.
    """
    require_resumable(run)
    with _held(run):
        status = run.status()
        reached = max(status.fraction, status.own_from)
        run.write_status(RunStatus(state="queued", queued=utc_now(), own_from=reached))


def resume(run: Run) -> "subprocess.Popen[bytes]":
    """Start another worker for a run that stopped early; finished parts are kept.

    Raises
    ------
    QCQAError
        As :func:`requeue`.
    """
    requeue(run)
    return start_worker(run)
