"""One run directory: what it was asked, how far it is, what came out."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import ValidationError

from qcqa.errors import RunError
from qcqa.files import write_text_atomically
from qcqa.runs.clock import seconds_since
from qcqa.runs.config import RUN_FORMAT, RUN_VERSION, RunConfig
from qcqa.runs.status import LIVE_STATES, RunStatus
from qcqa.search_result import ResultFolder, SearchResult

#: A worker that was started but has not yet said a word: interpreters are slow to start.
_SECONDS_TO_START = 60.0

BUNDLED_ID = "demo"


@dataclass(frozen=True)
class Run:
    """A run directory that was opened.

    Parameters
    ----------
    folder : Path
        The directory; a copy of it is the run as well.
    config : RunConfig
        What was asked.
    bundled : bool
        Whether it came with the package and is read only.
    """

    folder: Path
    config: RunConfig
    bundled: bool = False

    @property
    def id(self) -> str:
        """Name of the directory; ``demo`` for the run that comes with the package."""
        return BUNDLED_ID if self.bundled else self.folder.name

    @cached_property
    def lock(self) -> FileLock:
        """Held by the worker for as long as it lives: the kernel lets go of it when it dies."""
        return FileLock(self.folder / ".worker.lock")

    def status(self) -> RunStatus:
        """Return state and progress; a worker that is gone shows as ``dead``.

        Raises
        ------
        RunError
            If the file is damaged.
        """
        status = self._written_status()
        if status.state not in LIVE_STATES or self._worker_lives():
            return status
        if (
            status.state == "queued"
            and status.queued
            and seconds_since(status.queued) < _SECONDS_TO_START
        ):
            return status
        # The worker may have finished between the two looks.
        status = self._written_status()
        return (
            status.model_copy(update={"state": "dead"}) if status.state in LIVE_STATES else status
        )

    def write_status(self, status: RunStatus) -> None:
        """Replace ``status.json``."""
        write_text_atomically(self.folder / "status.json", status.model_dump_json(indent=2) + "\n")

    def events(self) -> list[dict[str, Any]]:
        """Return the progress so far, oldest first; a line that is still being written is left."""
        path = self.folder / "events.jsonl"
        if not path.exists():
            return []
        events = []
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                events.append(json.loads(line))
            except ValueError:
                # Half a line: the worker is writing it now, or died while it did.
                continue
        return events

    def result(self) -> SearchResult:
        """Return the fronts that are there: all of them when the run has finished.

        Raises
        ------
        RunError
            If nothing is there yet, or a file is damaged.
        """
        return ResultFolder(self.folder).result()

    def _written_status(self) -> RunStatus:
        path = self.folder / "status.json"
        try:
            return RunStatus.model_validate_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise RunError(f"{self.folder} has no readable status.json ({error})") from error
        except ValidationError as error:
            raise RunError(f"{path} is damaged ({_first_problem(error)})") from error

    def _worker_lives(self) -> bool:
        if self.bundled:
            return False
        try:
            with self.lock.acquire(timeout=0):
                return False
        except Timeout:
            return True
        except OSError:
            # A run that may only be read, such as a colleague's: no worker of ours has it.
            return False


def open_run(folder: Path, *, bundled: bool = False) -> Run:
    """Open a run directory.

    Raises
    ------
    RunError
        If it is none, is damaged, or was written in a newer format.
    """
    path = folder / "config.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(
            f"{folder} is no run directory", expected="a folder with a config.json"
        ) from error
    except ValueError as error:
        raise RunError(f"{path} is damaged ({error})") from error
    if not isinstance(content, dict) or content.get("format") != RUN_FORMAT:
        raise RunError(f"{folder} is no run directory", expected=f'"format": "{RUN_FORMAT}"')
    if content.get("version") != RUN_VERSION:
        raise RunError(
            f"{folder} has format version {content.get('version')!r}",
            expected=f"version {RUN_VERSION}",
            remedy="open it with the release of QCQA Explorer that wrote it",
        )
    try:
        config = RunConfig.model_validate(content)
    except ValidationError as error:
        raise RunError(f"{path} is damaged ({_first_problem(error)})") from error
    return Run(folder=folder, config=config, bundled=bundled)


def _first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
