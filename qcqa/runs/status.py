"""How far a run is: ``status.json``, replaced atomically by the worker."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

#: ``dead`` is never written: it is what a reader sees when the worker is gone without a word.
State = Literal["queued", "running", "finished", "failed", "cancelled", "dead"]

#: States in which a worker is, or should be, at work.
LIVE_STATES: frozenset[State] = frozenset({"queued", "running"})


class RunStatus(BaseModel):
    """State and progress of a run.

    Parameters
    ----------
    state : State
        What the worker last said of itself.
    stage : str
        What is being done, for people.
    step, total : int
        Progress of that stage.
    fraction : float
        Progress of the whole run, from 0 to 1.
    pid : int or None
        Process of the worker.
    queued, started, heartbeat, finished : str or None
        Times, ISO 8601, UTC.
    error : str or None
        One line, where the run failed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: State
    stage: str = ""
    step: int = 0
    total: int = 0
    fraction: float = 0.0
    pid: int | None = None
    queued: str | None = None
    started: str | None = None
    heartbeat: str | None = None
    finished: str | None = None
    error: str | None = None
