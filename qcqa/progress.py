"""How far a job is, whatever it does, and who is told: a tree of parts of a whole."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self, TypeVar


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job, or a part of one, is.

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


#: Called often; what it raises ends the work: that is how it is cancelled.
OnProgress = Callable[[Progress], None]
#: Takes the layers done and the number of all.
OnLayer = Callable[[int, int], None]

_AnyProgress = TypeVar("_AnyProgress", bound=Progress)


def within(
    on_progress: Callable[[_AnyProgress], None],
    begin: float,
    end: float,
    *,
    name: str = "",
    stage: str | None = None,
) -> Callable[[_AnyProgress], None]:
    """Return what a part of a job tells its progress to, which tells that of the whole.

    Parameters
    ----------
    on_progress : callable
        Is told of the whole.
    begin, end : float
        Fractions of the whole between which the part lies.
    name : str, optional
        Of the part, put before its stages.
    stage : str, optional
        What the part is, in place of its own stages.
    """

    def report(progress: _AnyProgress) -> None:
        what = progress.stage if stage is None else stage
        fraction = begin + (end - begin) * progress.fraction
        on_progress(replace(progress, stage=f"{name}: {what}" if name else what, fraction=fraction))

    return report


def steps_of(on_progress: OnProgress, stage: str, begin: float, end: float) -> OnLayer:
    """Return what a stage of a job tells its steps to; the rest as in :func:`within`."""
    report = within(on_progress, begin, end)
    return lambda done, total: report(Progress.of_stage(stage, done, total))


def nth_model(label: str, number: int, total: int) -> str:
    """Return what progress calls the model at work, counted from 0: ``source, 1 of 16``."""
    return f"{label}, {number + 1} of {total}"


def silent(_progress: object) -> None:
    """Take progress that nobody asked for."""
