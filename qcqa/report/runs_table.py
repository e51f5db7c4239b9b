"""All runs in one table: what each was asked, how far it is, and what it offers."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pandas as pd

from qcqa.errors import QCQAError
from qcqa.report.best_plan import BestPlan, best_plan_within
from qcqa.report.palette import in_order, method_style
from qcqa.runs.clock import seconds_since
from qcqa.runs.jobs import jobs_of
from qcqa.runs.run import Run
from qcqa.runs.status import LIVE_STATES, RunStatus
from qcqa.runs.store import DamagedRun

#: Budget by which runs are compared: half of the source's KV cache.
KV_RATIO = 0.5

OfferOf = Callable[[Run], BestPlan | None]


def offer_of(run: Run) -> BestPlan | None:
    """Return the plan to take at half of the KV cache, or None while there is none.

    Raises
    ------
    QCQAError
        If the run's files are damaged.
    """
    if not (run.folder / "fronts" / "lower_bound.parquet").exists():
        return None
    return best_plan_within(run.result(), run.measured(), KV_RATIO)


def runs_table(runs: Sequence[Run | DamagedRun], *, offer_of: OfferOf = offer_of) -> pd.DataFrame:
    """Return a row for every search.

    Parameters
    ----------
    runs : sequence of Run or DamagedRun
        Searches, as :func:`qcqa.runs.store.list_runs` lists them.
    offer_of : callable, optional
        What :func:`offer_of` answers, for callers that keep it.

    Returns
    -------
    DataFrame
        Indexed by the run's id: ``name``, ``state`` (``damaged`` where it cannot be opened),
        ``progress`` (0 to 1), ``job`` at work below it, ``created`` (UTC), ``model``, ``methods``,
        ``offer`` (the :class:`BestPlan`), ``measured plans``, ``note``, and ``problem``, the one
        line that says what is wrong.
    """
    rows = [_row(run, offer_of) for run in runs]
    table = pd.DataFrame(rows, columns=["run", *_COLUMNS]).set_index("run")
    table["created"] = pd.to_datetime(table["created"], utc=True, errors="coerce")
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
    "offer": "object",
    "measured plans": "Int64",
    "note": "str",
    "problem": "str",
}


def _row(run: Run | DamagedRun, offer_of: OfferOf) -> dict[str, Any]:
    if isinstance(run, DamagedRun):
        name = run.folder.name
        return {"run": name, "name": name, "state": "damaged", "problem": run.error.one_line()}
    config = run.search
    row: dict[str, Any] = {
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
        row["job"] = job_text(jobs_of(run))
        # Plans are other models; the source is what they are compared with.
        row["measured plans"] = len({one.plan_digest for one in run.measured()} - {""})
        row["offer"] = offer_of(run)
    except QCQAError as error:
        row |= {"state": "damaged", "problem": error.one_line()}
    return row


def job_text(jobs: Iterable[Run]) -> str:
    """Return which jobs of a search are at work, and how far they are; empty where none is."""
    texts = []
    for job in jobs:
        if job.is_at_work():
            status = job.status()
            texts.append(f"{job.config.kind} {progress_text(status)}".strip())
    return ", ".join(texts)


def progress_text(status: RunStatus) -> str:
    """Return how far a run at work is, empty for one that is not."""
    return f"{status.fraction:.0%}" if status.state in LIVE_STATES else ""


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
