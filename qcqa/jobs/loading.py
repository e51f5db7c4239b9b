"""Copies of runs that others made, taken among the user's own."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from qcqa.errors import QCQAError, RunError
from qcqa.files.user_path import existing_path, is_folder
from qcqa.files.writing import new_folder
from qcqa.jobs.archive import is_data, is_private, refuse_without_room, unpack
from qcqa.jobs.home import runs_folder
from qcqa.jobs.jobs import jobs_of
from qcqa.jobs.new import new_id
from qcqa.jobs.run import BUNDLED_ID, Run, open_run
from qcqa.jobs.status import LIVE_STATES
from qcqa.search.result import ResultFolder


def load_run(source: Path | BinaryIO) -> Run:
    """Take a copy of a run, such as a colleague's, among the user's runs.

    It keeps its id where that is free. Everything is checked before any of it is seen there, and
    files that are no data are left behind.

    Parameters
    ----------
    source : Path or binary file
        A run directory, or the zip of one, as :func:`~qcqa.jobs.archive.pack_run` writes it.

    Raises
    ------
    RunError
        If it is no run, damaged, of a newer format or too large, holds links or names that lead
        elsewhere, or cannot be written.
    """
    if isinstance(source, Path):
        source = existing_path(source, expected="a zip or folder of a run", refusal=RunError)
    name = str(source) if isinstance(source, Path) else str(getattr(source, "name", "the file"))
    with _new_folder(runs_folder()) as folder:
        if isinstance(source, Path) and is_folder(source, RunError):
            title = _copy(source.resolve(), folder)
        else:
            title = unpack(source, folder, name)
        _check(folder, name)
        run = open_run(folder)
        for job in (run, *jobs_of(run)):
            _let_go(job)
        target = runs_folder() / _free_id(title, run.name)
        folder.rename(target)
    return open_run(target)


@contextmanager
def _new_folder(runs: Path) -> Iterator[Path]:
    """Make a folder among the runs that no list shows; it goes away unless it was renamed."""
    try:
        with new_folder(runs / "loading") as folder:
            yield folder
    except OSError as error:
        where = error.filename or runs
        raise RunError(f"cannot copy the run ({where}: {error.strerror})") from error


def _copy(source: Path, folder: Path) -> str:
    """Copy a run directory and return its name."""
    # Refuses any other folder before it is read whole.
    open_run(source)
    paths = [
        path for path in source.rglob("*") if not is_private(path.relative_to(source).as_posix())
    ]
    for path in paths:
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise RunError(
                f"{path} is a link or no plain file", remedy="replace it by a copy of its content"
            )
    files = [path for path in paths if path.is_file() and is_data(path.name)]
    refuse_without_room(sum(path.stat().st_size for path in files), folder, str(source))
    for path in files:
        target = folder / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return source.name


def _check(folder: Path, name: str) -> None:
    """Read all that there is of a run's result.

    Raises
    ------
    RunError
        If the folder is no run that can be opened, or its files do not fit together.
    """
    try:
        run = open_run(folder)
        run.status()
        _ = run.search
        if ResultFolder(folder).has_result:
            result = run.result()
            for method in result.fronts:
                result.wse(method)
    except QCQAError as error:
        # Not the folder where it lies for the moment, of which nobody knows.
        raise RunError(
            error.found.replace(str(folder), name), expected=error.expected, remedy=error.remedy
        ) from error


def _let_go(run: Run) -> None:
    """Let no worker of elsewhere pass for one that is at work, or about to be, here."""
    try:
        status = run.status()
    except RunError:
        return
    if status.state in (*LIVE_STATES, "dead"):
        kept = {"state": "running", "pid": None, "queued": None}
        run.write_status(status.model_copy(update=kept))


def _free_id(wanted: str, name: str) -> str:
    is_plain = re.fullmatch(r"\w[\w.-]{0,120}", wanted) is not None
    is_free = wanted != BUNDLED_ID and not (runs_folder() / wanted).exists()
    return wanted if is_plain and is_free else new_id(name)
