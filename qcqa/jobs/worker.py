"""The process that works on a run and writes down how far it is."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from types import FrameType
from typing import Any, NoReturn

from qcqa.errors import QCQAError, RunError
from qcqa.files.locks import BusyError, hold
from qcqa.files.writing import append_line, remove_leftovers
from qcqa.jobs.carry_out import carry_out
from qcqa.jobs.clock import utc_now
from qcqa.jobs.jobs import search_of
from qcqa.jobs.run import Run
from qcqa.jobs.status import RunStatus
from qcqa.progress import OnProgress, Progress
from qcqa.search.plans import installed_versions

#: Progress comes in bursts; the status file need not be replaced more often than people look.
_SECONDS_BETWEEN_STATUS = 0.2

#: Whoever asks whether a worker is alive is done sooner.
_SECONDS_TO_WAIT = 5.0


class Cancelled(BaseException):
    """The run was asked to stop; no error handler on the way may swallow it."""


def work(run: Run, *, on_progress: OnProgress | None = None, inherited: int | None = None) -> None:
    """Carry out a run, from where an earlier worker left it.

    The state in ``status.json`` ends as finished, failed or cancelled. SIGTERM cancels.

    Parameters
    ----------
    run : Run
        Queued, cancelled, failed or dead.
    on_progress : callable, optional
        Called with every progress as well, for a progress bar.
    inherited : int, optional
        Descriptor of the run's lock, held by the process that started this one.

    Raises
    ------
    RunError
        If another worker has the run.
    QCQAError
        If the run failed for a reason that the user can mend; the status says so too.
    Cancelled
        If it was cancelled; the status says so too.
    """
    with ExitStack() as held:
        try:
            held.enter_context(hold(run.lock, timeout=_SECONDS_TO_WAIT, inherited=inherited))
        except BusyError:
            raise RunError(f"{run.id} is already being worked on by another process") from None
        held.enter_context(_sigterm_cancels())
        journal = _Journal(run, on_progress)
        try:
            # Once its state says running it may be cancelled.
            journal.start()
            # Its own, those of its search and of other jobs: what is held by the living stays.
            remove_leftovers((search_of(run) if run.is_job else run).additions, below=True)
            carry_out(run, journal.progress)
        except QCQAError as error:
            journal.end("failed", error=error.one_line())
            raise
        except (Cancelled, KeyboardInterrupt):
            # Whoever cancels repeats the signal until the status says so.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            journal.end("cancelled")
            raise Cancelled from None
        except OSError as error:
            # A full disk, for instance.
            place = error.filename or run.folder
            journal.end("failed", error=f"{place} cannot be used ({error.strerror or error})")
            raise
        except BaseException as error:
            journal.end("failed", error=f"unexpected {type(error).__name__}: {error}; see log.txt")
            raise
        journal.end("finished")


class _Journal:
    """Writes ``status.json`` and ``events.jsonl`` of a run."""

    def __init__(self, run: Run, on_progress: OnProgress | None):
        self._run = run
        self._on_progress = on_progress
        self._events = run.folder / "events.jsonl"
        self._written = 0.0
        earlier = run.status()
        self._status = RunStatus(
            state="running",
            stage="starting",
            own_from=max(earlier.fraction, earlier.own_from),
            pid=os.getpid(),
            started=utc_now(),
        )

    def start(self) -> None:
        self._write()
        self._event("started", versions=dict(installed_versions()))

    def progress(self, progress: Progress) -> None:
        self._status = self._status.model_copy(
            update={
                "stage": progress.stage,
                "step": progress.step,
                "total": progress.total,
                # What is not known to be a share of the whole never takes the bar back.
                "fraction": max(self._status.fraction, progress.fraction),
            }
        )
        if self._status.own_since is None and progress.fraction >= self._status.own_from:
            self._status = self._status.model_copy(
                update={"own_from": progress.fraction, "own_since": utc_now()}
            )
        # The last step of a stage may be the last word for long.
        is_last = progress.step >= progress.total
        if is_last or time.monotonic() - self._written > _SECONDS_BETWEEN_STATUS:
            self._write()
        details = asdict(progress)
        self._event("progress", **{k: v for k, v in details.items() if k != "fraction"})
        if self._on_progress:
            self._on_progress(progress)

    def end(self, state: str, *, error: str | None = None) -> None:
        done = {"fraction": 1.0} if state == "finished" else {}
        self._status = self._status.model_copy(
            update={"state": state, "finished": utc_now(), "error": error, **done}
        )
        self._write()
        self._event(state, error=error)

    def _write(self) -> None:
        self._status = self._status.model_copy(update={"heartbeat": utc_now()})
        self._run.write_status(self._status)
        self._written = time.monotonic()

    def _event(self, event: str, **details: Any) -> None:
        row = {"time": utc_now(), "event": event}
        row |= {name: value for name, value in details.items() if value is not None}
        append_line(self._events, json.dumps(row))


@contextmanager
def _sigterm_cancels() -> Iterator[None]:
    """Raise :class:`Cancelled` in the main thread when SIGTERM comes."""

    def cancel(_number: int, _frame: FrameType | None) -> NoReturn:
        raise Cancelled

    previous = signal.signal(signal.SIGTERM, cancel)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
