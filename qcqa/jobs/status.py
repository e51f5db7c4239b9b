"""How far a run is: ``status.json``, replaced atomically by the worker."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from qcqa.jobs.clock import Time, seconds_since

#: ``dead`` is never written: it is what a reader sees when the worker is gone without a word.
State = Literal["queued", "running", "finished", "failed", "cancelled", "dead"]

#: Of a worker's own work, and of time in seconds: before there is no ground for an estimate.
_LEAST_SHARE, _LEAST_SECONDS = 0.1, 5.0

#: States in which a worker is, or should be, at work.
LIVE_STATES: frozenset[State] = frozenset({"queued", "running"})


#: Of the whole, from 0 to 1; sums of the shares of stages come out a last digit larger.
Share = Annotated[float, Field(ge=0, le=1 + 1e-9)]


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
    own_from : float
        Fraction beyond which the work is this worker's own: earlier ones had done the rest.
    own_since : str or None
        When this worker came to it; None while it has not.
    pid : int or None
        Process of the worker.
    queued, started, heartbeat, finished : str or None
        Times, ISO 8601, UTC.
    error : str or None
        One line, where the run failed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    state: State
    stage: str = ""
    step: int = 0
    total: int = 0
    fraction: Share = 0.0
    own_from: Share = 0.0
    own_since: Time | None = None
    pid: int | None = None
    queued: Time | None = None
    started: Time | None = None
    heartbeat: Time | None = None
    finished: Time | None = None
    error: str | None = None

    def seconds_left(self) -> float | None:
        """Return the time that is left by what this worker has done itself; None while too little.

        What an earlier worker had done took this one no time.
        """
        if self.own_since is None:
            return None
        taken = seconds_since(self.own_since)
        done = (self.fraction - self.own_from) / (1 - self.own_from) if self.own_from < 1 else 1.0
        if done <= _LEAST_SHARE or taken <= _LEAST_SECONDS:
            return None
        return taken / done - taken
