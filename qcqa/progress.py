"""How far a job is, whatever it does."""

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
