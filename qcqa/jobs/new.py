"""What making a run of any kind takes."""

import secrets
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from qcqa.errors import RunError
from qcqa.files.writing import replacing_folder, write_text_atomically
from qcqa.jobs.config import JOB_FOLDERS, RunConfig
from qcqa.jobs.run import Run
from qcqa.jobs.status import RunStatus


def new_id(title: str = "") -> str:
    """Return a name for a directory: the time, the title, and what makes it unique."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return "-".join(filter(None, (stamp, slug(title), secrets.token_hex(2))))


def slug(title: str) -> str:
    """Return a title as a part of a file's name."""
    return "".join(c if c.isalnum() else "-" for c in title.lower()).strip("-")[:32]


def write_new_run(folder: Path, config: RunConfig) -> Run:
    """Make a run directory, ready for a worker.

    Raises
    ------
    RunError
        If the folder exists and holds anything, or cannot be written.
    """
    run = Run(folder=folder, config=config)
    try:
        if folder.exists() and any(folder.iterdir()):
            raise RunError(
                f"{folder} is not empty",
                expected="a new folder for the run",
                remedy=f"choose another, or continue it with: qcqa runs resume {folder}",
            )
        with nullcontext(folder) if folder.exists() else replacing_folder(folder) as place:
            # Whoever lists runs looks for config.json: it comes last.
            replace(run, folder=place).write_status(
                RunStatus(state="queued", queued=config.created)
            )
            write_text_atomically(place / "config.json", config.model_dump_json(indent=2) + "\n")
    except OSError as error:
        raise RunError(f"cannot write to {folder} ({error.strerror})") from error
    return run


def write_new_job(search: Run, config: RunConfig) -> Run:
    """Make the directory of a job below its search, ready for a worker.

    Raises
    ------
    RunError
        If it cannot be written.
    """
    return write_new_run(search.additions / JOB_FOLDERS[config.kind] / new_id(), config)
