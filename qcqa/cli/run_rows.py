"""A run in a row: as JSON, and as people read it."""

from typing import Any

from qcqa.charts.jobs.runs_table import KV_RATIO, age_text
from qcqa.charts.quality.series import short_name
from qcqa.errors import RunError
from qcqa.jobs import store
from qcqa.jobs.run import Run
from qcqa.jobs.status import LIVE_STATES


def run_row(run: Run | store.DamagedRun, *, of: Run | None = None) -> dict[str, Any]:
    """Return a run as JSON; ``of`` is a job's search."""
    if isinstance(run, store.DamagedRun):
        return {
            "run": run.folder.name,
            "kind": None,
            "name": None,
            "note": "",
            "model": None,
            "state": "damaged",
            "fraction": 0.0,
            "created": None,
            "folder": str(run.folder),
            "error": run.error.one_line(),
        }
    state, fraction, problem = "damaged", 0.0, None
    try:
        status = run.status()
        state, fraction, problem = status.state, status.fraction, status.error
    except RunError as error:
        problem = error.one_line()
    return {
        "run": run.id,
        "kind": run.config.kind,
        "name": run.name,
        "note": run.note,
        "model": (of or run).search.model,
        "state": state,
        "fraction": fraction,
        "created": run.config.created,
        "folder": str(run.folder),
        "error": problem,
    }


def row_text(row: dict[str, Any]) -> dict[str, str]:
    """Return a row of JSON as a row of the table that people read."""
    state = row["state"]
    at_work = f" {100 * row['fraction']:.0f} %" if state in LIVE_STATES else ""
    best = row.get("best_at_half")
    problem = (row["error"] or "").replace(f"{row['folder']}/", "")
    return {
        "run": row["run"],
        "name": short_name(row["name"] or ""),
        "state": f"{state}{at_work}",
        "age": age_text(row["created"]) if row["created"] else "",
        f"best at {100 * KV_RATIO:g} % KV": best["text"] if best else problem,
    }
