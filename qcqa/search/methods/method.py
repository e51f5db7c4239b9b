"""What a method is: something that answers a problem with a front of plans."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from qcqa.search.front import Front
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.problem import Problem
from qcqa.search.strategy.progress import OnProgress

#: The problem, settings, whom to tell of progress, and a folder for finished slots (or None).
Run = Callable[[Problem, SearchSettings, OnProgress, Path | None], Front]


#: Of QCQA where no text is at hand: its second stage judges layers by WSE, as its first does heads.
BY_WEIGHTS_ALONE = MappingProxyType({"fitness": "wse", "stage2_fitness": None})


@dataclass(frozen=True, slots=True)
class Method:
    """A way to choose which heads share.

    Parameters
    ----------
    name : str
        As on the command line and in files.
    label : str
        As in charts.
    description : str
        One line for people.
    needs_search : bool
        Whether it takes time; the others only look their plans up.
    run : callable
        Does it.
    insists : mapping
        Settings that it has whatever a run's are.
    """

    name: str
    label: str
    description: str
    needs_search: bool
    run: Run
    insists: Mapping[str, Any] = field(default_factory=dict)

    def settings(self, asked: SearchSettings) -> SearchSettings:
        """Return the settings of a run as this method has them."""
        return asked.model_copy(update=dict(self.insists))
