"""A search that did not finish: what it lacks, and how it goes on."""

from dataclasses import dataclass
from typing import Any, Literal

from qcqa.errors import RunError
from qcqa.jobs.run import Run
from qcqa.jobs.status import State
from qcqa.search.methods import METHODS
from qcqa.search.result import ResultFolder

_SAID: dict[State | Literal["damaged"], str] = {
    "queued": "has not begun",
    "running": "is still at work",
    "cancelled": "was cancelled",
    "failed": "failed",
    "dead": "stopped unexpectedly",
    "damaged": "does not say whether it finished",
}


@dataclass(frozen=True, slots=True)
class Unfinished:
    """What is to be known before a plan of a search is taken that did not finish.

    Parameters
    ----------
    state : State or "damaged"
        Its state; ``damaged`` where that cannot be read.
    missing : tuple of str
        Methods that were asked for and have no plans yet.
    can_resume : bool
        Whether nobody is at work on it: there is more to do than to wait.
    """

    state: State | Literal["damaged"]
    missing: tuple[str, ...]
    can_resume: bool

    @property
    def sentence(self) -> str:
        """Its state and what is missing, for people."""
        return f"This search {_SAID[self.state]}: {self.lack}"

    @property
    def lack(self) -> str:
        """What is missing, for people."""
        if not self.missing:
            return "the methods that it was asked for have plans, but it did not end."
        labels = [METHODS[name].label if name in METHODS else name for name in self.missing]
        verb, whose = ("is", "its") if len(labels) == 1 else ("are", "their")
        return f"{', '.join(labels)} {verb} missing; {whose} plans may be better."

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON value, with the sentence as ``why``."""
        return {"state": self.state, "missing": list(self.missing), "why": self.sentence}


def unfinished(run: Run) -> Unfinished | None:
    """Return what a search lacks, or None where it has finished.

    Raises
    ------
    RunError
        If the run is no search.
    """
    asked = run.search.methods
    try:
        state: State | Literal["damaged"] = run.status().state
    except RunError:
        state = "damaged"
    if state == "finished":
        return None
    there = ResultFolder(run.folder).methods
    missing = tuple(name for name in asked if name not in there)
    return Unfinished(state, missing, state != "damaged" and not run.is_at_work())
