"""How far a job is, whatever it does, and who is told."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job, or a piece of one, is.

    Parameters
    ----------
    stage : str
        What is being done, for people.
    step, total : int
        Progress of that stage.
    fraction : float
        Progress of the whole, from 0 to 1.
    """

    stage: str
    step: int
    total: int
    fraction: float

    @classmethod
    def of_stage(cls, stage: str, step: int, total: int) -> Self:
        """Return the progress of what has one stage only."""
        return cls(stage, step, total, step / total if total else 1.0)


def nth_model(label: str, number: int, total: int) -> str:
    """Return what progress calls the model at work, counted from 0: ``source, 1 of 16``."""
    return f"{label}, {number + 1} of {total}"


#: Called often; what it raises ends the work: that is how it is cancelled.
OnProgress = Callable[[Progress], None]
#: Takes the layers done and the number of all.
OnLayer = Callable[[int, int], None]


def silent(_progress: object) -> None:
    """Take progress that nobody asked for."""
