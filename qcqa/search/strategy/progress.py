"""How far a method is, for progress bars and live charts."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a method is.

    Parameters
    ----------
    stage : str
        ``"tables for stage 1"`` (errors of few heads), ``"stage 1"`` (within layers),
        ``"measuring the loss"`` or ``"stage 2"`` (over layers).
    step, total : int
        Finished tables, slots of stage 1 or of the measurement, or generations of stage 2.
    fraction : float
        Of the method's whole work, from 0 to 1.
    layer : int or None
        Layer that has just been finished, in stage 1.
    hypervolume : float or None
        Of that layer's front, or of the front over layers, relative to a fixed reference.
    """

    stage: str
    step: int
    total: int
    fraction: float
    layer: int | None = None
    hypervolume: float | None = None


OnProgress = Callable[[Progress], None]
