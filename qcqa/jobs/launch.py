"""Starting, cancelling and resuming a run's worker process."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

from qcqa.errors import RunError
from qcqa.jobs.clock import utc_now
from qcqa.jobs.resumable import require_resumable
from qcqa.jobs.run import Run
from qcqa.jobs.status import LIVE_STATES, RunStatus

_SECONDS_TO_STOP = 10.0


def start_worker(run: Run) -> "subprocess.Popen[bytes]":
    """Start the worker of a queued run in a process of its own.

    The caller keeps the returned handle and polls it, so that no zombie is left; the worker goes
    on when the caller ends. What it prints goes to the run's ``log.txt``.
    """
    with (run.folder / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "qcqa", "worker", str(run.folder.resolve())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def cancel(run: Run) -> RunStatus:
    """Ask the worker to stop, wait until it has, and return the final status.

    Raises
    ------
    RunError
        If the run is not at work, or its worker does not stop.
    """
    status = run.status()
    if status.state not in LIVE_STATES:
        raise RunError(f"{run.id} is {status.state}", expected="a run that is at work")
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
