"""How far an evaluation is, for progress bars and for stopping it."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EvaluationProgress:
    """How far an evaluation is.

    Parameters
    ----------
    stage : str
        What is being measured.
    step, total : int
        Finished pieces of the stage and all of them: windows of text, requests or turns.
    """

    stage: str
    step: int
    total: int

    @property
    def fraction(self) -> float:
        """Finished share of the stage, from 0 to 1."""
        return self.step / self.total if self.total else 1.0


#: Called after every batch. What it raises ends the evaluation: that is how one is cancelled.
OnProgress = Callable[[EvaluationProgress], None]
