"""How far a job is, whatever it does, and who is told."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class JobProgress:
    """How far a job is.

    Parameters
    ----------
    stage : str
        What is being done, for people.
    step, total : int
        Progress of that stage.
    fraction : float
        Progress of the whole job, from 0 to 1.
    """

    stage: str
    step: int
    total: int
    fraction: float


def nth_model(label: str, number: int, total: int) -> str:
    """Return what progress calls the model at work, counted from 0: ``source, 1 of 16``."""
    return f"{label}, {number + 1} of {total}"


OnJobProgress = Callable[[JobProgress], None]
#: Takes the layers done and the number of all.
OnLayer = Callable[[int, int], None]


def silent(_progress: object) -> None:
    """Take progress that nobody asked for."""
