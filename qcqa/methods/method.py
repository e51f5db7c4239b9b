"""What a method is: something that answers a model's Grams with a front of plans."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from qcqa.front import Front
from qcqa.gram import ModelGrams
from qcqa.search.config import SearchSettings
from qcqa.search.progress import OnProgress

#: Grams, settings, whom to tell of progress, and a folder for finished layers (or None).
Run = Callable[[ModelGrams, SearchSettings, OnProgress, Path | None], Front]


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
    """

    name: str
    label: str
    description: str
    needs_search: bool
    run: Run
