"""How far a search is, for progress bars and live charts."""

from collections.abc import Callable
from dataclasses import dataclass

from qcqa.progress import Progress


@dataclass(frozen=True, slots=True)
class SearchProgress(Progress):
    """How far a search, or one of its methods, is.

    Parameters
    ----------
    stage, step, total, fraction
        As in :class:`~qcqa.progress.Progress`. A method's stages are ``"tables for stage 1"``
        (errors of few heads), ``"stage 1"`` (within layers), ``"measuring the loss"`` and
        ``"stage 2"`` (over layers), counted in tables, slots or generations.
    method : str or None
        Method at work, where a whole search is past reading.
    layer : int or None
        Layer that has just been finished, or is at work, where there is one.
    hypervolume : float or None
        Of that layer's front, or of the front over layers, relative to a fixed reference.
    """

    method: str | None = None
    layer: int | None = None
    hypervolume: float | None = None


OnSearchProgress = Callable[[SearchProgress], None]
