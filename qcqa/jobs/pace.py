"""How fast this machine searches, from the searches that it has finished."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from itertools import pairwise
from statistics import median
from typing import Any

from qcqa.errors import QCQAError
from qcqa.jobs.config import EvaluationConfig, GenerationConfig
from qcqa.jobs.run import Run
from qcqa.search.method_seconds import weights_seconds
from qcqa.search.methods import METHODS

#: The newest runs tell of the machine as it is now.
_MOST_RUNS = 5
#: A run's times are whole seconds: shorter searches tell nothing.
_SHORTEST_SECONDS = 5.0
#: Beyond these something else was measured: a copied run, or a machine that slept.
_SLOWEST, _FASTEST = 5.0, 0.2
#: As above: operations of models are only counted.
_SLOWEST_JOB, _FASTEST_JOB = 20.0, 0.05

_Measuring = EvaluationConfig | GenerationConfig


def machine_pace(runs: Iterable[Run]) -> tuple[float, int]:
    """Return what searches by weights took over their estimates, and of how many runs that is.

    Parameters
    ----------
    runs : iterable of Run
        Searches, newest first; those that did not finish at one go, or came with the package,
        tell nothing.

    Returns
    -------
    pace : float
        The median; 1 where there is none.
    count : int
        Runs that it is the median of.
    """
    # What came with the package was made elsewhere.
    runs_here = (run for run in runs if not run.bundled)
    return _newest_median(runs_here, _pace, _FASTEST, _SLOWEST)


def measuring_pace(jobs: Iterable[Run], *, like: _Measuring) -> tuple[float, int]:
    """Return what jobs took over their estimates, and of how many jobs that is.

    Parameters
    ----------
    jobs : iterable of Run
        Evaluations and generations, newest first.
    like : EvaluationConfig or GenerationConfig
        Only jobs of its kind tell anything: on the same device, and measuring the same things.

    Returns
    -------
    pace : float
        The median; 1 where there is none.
    count : int
        Jobs that it is the median of.
    """
    return _newest_median(jobs, lambda job: _pace_of_job(job, like), _FASTEST_JOB, _SLOWEST_JOB)


def _newest_median(
    runs: Iterable[Run], pace_of: Callable[[Run], float | None], fastest: float, slowest: float
) -> tuple[float, int]:
    """Return the median pace of the newest runs that have one, 1 without, and their count."""
    found: list[float] = []
    for run in runs:
        if len(found) == _MOST_RUNS:
            break
        # Damaged: the page of runs says so.
        with suppress(QCQAError):
            pace = pace_of(run)
            if pace is not None:
                found.append(min(max(pace, fastest), slowest))
    return (median(found), len(found)) if found else (1.0, 0)


def _pace_of_job(job: Run, like: _Measuring) -> float | None:
    config = job.config
    if not isinstance(config, _Measuring) or _kind(config) != _kind(like):
        return None
    status = job.status()
    if status.state != "finished" or not config.expected_seconds:
        return None
    if not status.started or not status.finished:
        return None
    taken = datetime.fromisoformat(status.finished) - datetime.fromisoformat(status.started)
    went_on = sum(event.get("event") == "started" for event in job.events()) > 1
    if went_on or taken.total_seconds() < _SHORTEST_SECONDS:
        return None
    return taken.total_seconds() / config.expected_seconds


def _kind(config: _Measuring) -> tuple[object, ...]:
    """Return what jobs have in common that one of them can tell of the other."""
    how = (config.kind, config.device, config.dtype)
    if isinstance(config, GenerationConfig):
        return how
    asked = config.benchmark
    return (*how, asked.text is None, bool(asked.tasks), asked.speed is None)


def _pace(run: Run) -> float | None:
    if run.status().state != "finished":
        return None
    events = run.events()
    if sum(event.get("event") == "started" for event in events) != 1:
        return None
    settings = run.search.settings
    by_weights = [
        name
        for name in run.search.methods
        if name in METHODS and METHODS[name].settings(settings).judged_by == "wse"
    ]
    taken = sum(seconds for name, seconds in _seconds_of(events).items() if name in by_weights)
    if taken < _SHORTEST_SECONDS:
        return None
    spec = run.result().spec
    expected = sum(
        weights_seconds(name, spec, METHODS[name].settings(settings)) for name in by_weights
    )
    return taken / expected


def _seconds_of(events: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Return the seconds of each method: what passed until an event is its method's."""
    seconds: dict[str, float] = {}
    for before, event in pairwise(events):
        method = event.get("method")
        if isinstance(method, str):
            passed = datetime.fromisoformat(event["time"]) - datetime.fromisoformat(before["time"])
            seconds[method] = seconds.get(method, 0.0) + passed.total_seconds()
    return seconds
