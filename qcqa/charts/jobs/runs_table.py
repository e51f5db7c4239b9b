"""All runs in one table: what each was asked, how far it is, and what it offers."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from qcqa.charts.common.palette import in_order, method_style
from qcqa.charts.fronts.best_plan import BestPlan, best_plan_within
from qcqa.errors import QCQAError, RunError
from qcqa.jobs.clock import seconds_since
from qcqa.jobs.jobs import jobs_of
from qcqa.jobs.run import Run
from qcqa.jobs.status import LIVE_STATES
from qcqa.jobs.store import DamagedRun
from qcqa.search.result import ResultFolder

#: Budget by which runs are compared: half of the source's KV cache.
KV_RATIO = 0.5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out of a search so far.

    Parameters
    ----------
    best : BestPlan or None
        The plan to take at half of the KV cache; None while there is none.
    num_measured : int
        Plans that were measured as models.
    """

    best: BestPlan | None
    num_measured: int


OutcomeOf = Callable[[Run], Outcome]


def outcome_of(run: Run) -> Outcome:
    """Return what came out of a search so far.

    Raises
    ------
    QCQAError
        If its files are damaged.
    """
    rows = run.measured()
    # Plans are other models; the source is what they are compared with.
    num_measured = len({row.plan_digest for row in rows if not row.is_source})
    if not ResultFolder(run.folder).has_result:
        return Outcome(None, num_measured)
    return Outcome(best_plan_within(run.result(), rows, KV_RATIO), num_measured)


def runs_table(
    runs: Sequence[Run | DamagedRun], *, outcome_of: OutcomeOf = outcome_of
) -> pd.DataFrame:
    """Return a row for every search.

    Parameters
    ----------
    runs : sequence of Run or DamagedRun
        Searches, as :func:`qcqa.jobs.store.list_runs` lists them.
    outcome_of : callable, optional
        What answers as :func:`outcome_of` does, for callers that keep the answers.

    Returns
    -------
    DataFrame
        Indexed by the run's id: ``name``, ``state`` (``damaged`` where it cannot be opened),
        ``progress`` (0 to 1), ``job`` at work below it, ``created`` (UTC), ``model``, ``methods``,
        ``best`` (the :class:`BestPlan`), ``measured plans``, ``note``, and ``problem``, the one
        line that says what is wrong.
    """
    rows = [_row(run, outcome_of) for run in runs]
    table = pd.DataFrame(rows, columns=["run", *_COLUMNS]).set_index("run")
    table["created"] = pd.to_datetime(table["created"], utc=True, errors="coerce", format="ISO8601")
    return table.astype(_COLUMNS)


#: Columns and their types.
_COLUMNS: dict[str, Any] = {
    "name": "str",
    "state": "str",
    "progress": "float64",
    "job": "str",
    "created": "datetime64[s, UTC]",
    "model": "str",
    "methods": "str",
    "best": "object",
    "measured plans": "Int64",
    "note": "str",
    "problem": "str",
}


def _row(run: Run | DamagedRun, outcome_of: OutcomeOf) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(_COLUMNS)
    if isinstance(run, DamagedRun):
        name = run.folder.name
        return row | {"run": name, "name": name} | _damage(run.error, run.folder)
    config = run.search
    row |= {
        "run": run.id,
        "name": run.name,
        "created": config.created,
        "model": config.model,
        "methods": ", ".join(method_style(name).label for name in in_order(config.methods)),
        "note": run.note,
    }
    try:
        status = run.status()
        row |= {"state": status.state, "progress": status.fraction, "problem": status.error}
        row["job"] = _job_text(jobs_of(run))
        found = outcome_of(run)
        row |= {"best": found.best, "measured plans": found.num_measured}
    except QCQAError as error:
        row |= _damage(error, run.folder)
    return row


def _damage(error: QCQAError, folder: Path) -> dict[str, str]:
    """Return state and problem of a run that cannot be read."""
    # Where it lies need not be said once more beside its name.
    problem = error.one_line().replace(f"{folder}/", "").replace(f"{folder} ", "")
    return {"state": "damaged", "problem": problem}


def _job_text(jobs: Iterable[Run]) -> str:
    """Return which jobs of a search are at work, and how far they are; empty where none is."""
    texts = []
    for job in jobs:
        try:
            status = job.status()
        except RunError:
            # Its own problem, not that of the search's row.
            continue
        if status.state in LIVE_STATES:
            texts.append(f"{job.config.kind} {100 * status.fraction:.0f} %")
    return ", ".join(texts)


def age_text(created: str) -> str:
    """Return how long ago a time was, such as ``3 h``; a time that makes no sense as it is."""
    try:
        seconds = seconds_since(created)
    except (TypeError, ValueError):
        return created
    for unit, name in ((86400 * 365, "y"), (86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds // unit:.0f} {name}"
    return "now"
