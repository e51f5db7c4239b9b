"""The methods by name: each answers a problem with a front of plans."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from qcqa.errors import SettingsError
from qcqa.progress import silent
from qcqa.search.front import Front
from qcqa.search.methods import best, gqa, mha, mqa, optimal, qcqa_ac, qcqa_ec
from qcqa.search.methods.method import Method
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.problem import Problem
from qcqa.search.strategy.progress import Progress

_METHODS = (
    mha.METHOD,
    gqa.METHOD,
    mqa.METHOD,
    qcqa_ac.METHOD,
    qcqa_ec.METHOD,
    qcqa_ac.BY_WEIGHTS,
    qcqa_ec.BY_WEIGHTS,
    optimal.METHOD,
    best.METHOD,
)

#: Every method by its name, in the order of charts and tables.
METHODS: Mapping[str, Method] = MappingProxyType({method.name: method for method in _METHODS})


def run_method(
    name: str,
    problem: Problem,
    settings: SearchSettings,
    *,
    progress: Callable[[Progress], None] | None = None,
    scratch: Path | None = None,
) -> Front:
    """Return the front of one method.

    Parameters
    ----------
    name : str
        A key of :data:`METHODS`.
    problem : Problem
        The model, and what sharing costs by the fitness of the method's settings.
    settings : SearchSettings
        Same settings, same front; ``workers`` changes only the time. What the method insists on
        takes their place.
    progress : callable, optional
        Told of finished slots and generations; raising from it ends the search.
    scratch : Path, optional
        Folder in which finished slots are kept: called again after it was killed, the method
        goes on from there to the same result.

    Raises
    ------
    SettingsError
        If there is no such method, or it minimises another fitness than the problem's.
    """
    if name not in METHODS:
        raise SettingsError(f"method {name!r}", expected=f"one of {', '.join(METHODS)}")
    chosen = METHODS[name]
    effective = chosen.settings(settings)
    if effective.judged_by != problem.fitness:
        raise SettingsError(
            f"a problem of fitness {problem.fitness} for {chosen.label}",
            expected=f"one of fitness {effective.judged_by}",
        )
    return chosen.run(problem, effective, progress or silent, scratch)


def wants_calibration(names: Iterable[str], settings: SearchSettings) -> bool:
    """Return whether any of the methods has use for a calibration text."""
    all_settings = [METHODS[name].settings(settings) for name in names]
    return any(one.judged_by != "wse" or one.merge == "svd" or one.refit for one in all_settings)


__all__ = ["METHODS", "Method", "Progress", "run_method", "wants_calibration"]
