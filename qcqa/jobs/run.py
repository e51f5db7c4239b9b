"""One run directory: what it was asked, how far it is, what came out."""

from dataclasses import dataclass, field, replace
from hashlib import sha256
from os.path import lexists
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter

from qcqa.errors import RunError
from qcqa.files.locks import is_held
from qcqa.files.writing import write_text_atomically
from qcqa.jobs.config import (
    JOB_FOLDERS,
    RUN_CONFIG,
    RUN_FORMAT,
    RUN_VERSION,
    RunConfig,
    SearchConfig,
)
from qcqa.jobs.events import read_events
from qcqa.jobs.home import additions_folder
from qcqa.jobs.label import Label, read_label
from qcqa.jobs.status import RunStatus
from qcqa.measure.evaluation import Evaluation
from qcqa.measure.measured_folder import MeasuredFolder
from qcqa.reading.file import FileKind
from qcqa.reading.json_file import as_record, read_json, read_record
from qcqa.search.method_sets import names_today
from qcqa.search.methods import METHODS
from qcqa.search.result import ResultFolder, SearchResult
from qcqa.text.fitted import FittedFolder

BUNDLED_ID = "demo"

#: Folder of the calibration below a search, or below what was added to it.
CALIBRATION = "calibration"

#: Folder of the attention that was merged or refitted by it.
FITTED = "fitted"

_CONFIG_FILE = FileKind("what a run was asked", RunError)
_STATUS_FILE = FileKind("the status of a run", RunError, most_bytes=2**20)
_STATUS = TypeAdapter(RunStatus)

_Asked = TypeVar("_Asked", bound=BaseModel)


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
    label : Label
        What people call it since, and their note.
    """

    folder: Path
    config: RunConfig
    bundled: bool = False
    label: Label = field(default_factory=Label)

    @property
    def id(self) -> str:
        """Name of the directory; ``demo`` for the run that comes with the package.

        That of a job has its search's id before it: ``demo/20260131-101500-4f2a``.
        """
        if self.is_job:
            search = self.folder.resolve().parents[1]
            of_bundled = search.parent == additions_folder().resolve()
            return f"{BUNDLED_ID if of_bundled else search.name}/{self.folder.name}"
        return BUNDLED_ID if self.bundled else self.folder.name

    @property
    def is_job(self) -> bool:
        """Whether it works on a search's plans, and is a run inside that search's directory."""
        return self.config.kind in JOB_FOLDERS

    @property
    def name(self) -> str:
        """Title for people."""
        return self.label.name or self.config.name

    @property
    def note(self) -> str:
        """What people noted of it; mostly nothing."""
        return self.label.note

    @property
    def search(self) -> SearchConfig:
        """What a search was asked.

        Raises
        ------
        RunError
            If the run is none.
        """
        return self.asked(SearchConfig, "a search", remedy="qcqa runs list")

    def asked(self, kind: type[_Asked], expected: str, *, remedy: str | None = None) -> _Asked:
        """Return what a run of some kind was asked, and refuse a run of another kind.

        Raises
        ------
        RunError
            If the run is none; it says what was expected.
        """
        if isinstance(self.config, kind):
            return self.config
        raise RunError(f"{self.id} is of kind {self.config.kind}", expected=expected, remedy=remedy)

    @property
    def additions(self) -> Path:
        """Where a search's jobs and what they measure are kept.

        Its own directory, or one of the user's for a run that came with the package. That has the
        hash of the run's config in its name, as another release may come with another run.
        """
        if not self.bundled:
            return self.folder
        config = (self.folder / "config.json").read_bytes()
        return additions_folder() / f"{BUNDLED_ID}-{sha256(config).hexdigest()[:12]}"

    @property
    def measured_folder(self) -> MeasuredFolder:
        """Where the figures of a search's plans are."""
        included = self.folder / "measured" if self.bundled else None
        return MeasuredFolder(self.additions / "measured", included)

    @property
    def fitted_folder(self) -> FittedFolder:
        """Where the attention of a search's plans is kept that took a calibration to make."""
        included = self.folder / FITTED if self.bundled else None
        return FittedFolder(self.additions / FITTED, included)

    @property
    def calibration_folder(self) -> Path:
        """Where the calibration is kept that a search's plans rest on."""
        return self.additions / CALIBRATION

    @property
    def lock(self) -> Path:
        """What the worker holds for as long as it lives; see :mod:`qcqa.files.locks`."""
        return worker_lock(self.folder)

    def status(self) -> RunStatus:
        """Return state and progress; a worker that is gone shows as ``dead``.

        A run that is queued and held by nobody waits for a worker.

        Raises
        ------
        RunError
            If the file is damaged.
        """
        status = self._written_status()
        if status.state != "running" or self.is_at_work():
            return status
        # The worker may have finished between the two looks.
        status = self._written_status()
        is_dead = status.state == "running" and not self.is_at_work()
        return status.model_copy(update={"state": "dead"}) if is_dead else status

    def is_at_work(self) -> bool:
        """Return whether a worker has the run, or is being started; also where it is damaged."""
        return not self.bundled and is_held(self.lock)

    def write_status(self, status: RunStatus) -> None:
        """Replace ``status.json``."""
        path, text = self.folder / "status.json", status.model_dump_json(indent=2) + "\n"
        try:
            write_text_atomically(path, text)
        except OSError:
            if not path.exists():
                raise
            # A full disk still has the room that the old file takes, and why a run failed is
            # worth more than that nobody ever reads half of it.
            with path.open("r+", encoding="utf-8") as file:
                file.write(text)
                file.truncate()

    def events(self) -> list[dict[str, Any]]:
        """Return the progress so far, oldest first; a line that is still being written is left.

        Raises
        ------
        RunError
            If the file cannot be read.
        """
        return read_events(self.folder / "events.jsonl")

    def result(self) -> SearchResult:
        """Return the fronts that are there: all of them when the search has finished.

        Raises
        ------
        RunError
            If nothing is there yet, a file is damaged, or the run is no search.
        """
        # Refuses a job by what it is, not by what it lacks.
        _ = self.search
        return ResultFolder(self.folder).result()

    def measured(self) -> tuple[Evaluation, ...]:
        """Return all figures of a search's plans and their source, the largest cache first.

        Rows that cannot be read are left out, and those of methods that this release does not have.
        """
        rows, settings = self.measured_folder.rows(), self.search.settings
        named = (names_today([row.method], settings)[0] for row in rows)
        return tuple(
            row if name == row.method else replace(row, method=name)
            for row, name in zip(rows, named, strict=True)
            if name in METHODS
        )

    def _written_status(self) -> RunStatus:
        return read_record(self.folder / "status.json", _STATUS, _STATUS_FILE)


def worker_lock(folder: Path) -> Path:
    """Return the file on which the worker of a run directory has a lock for as long as it lives."""
    return folder / ".worker.lock"


def open_run(folder: Path, *, bundled: bool = False) -> Run:
    """Open a run directory.

    Raises
    ------
    RunError
        If it is none, is damaged, or was written in a newer format.
    """
    path = folder / "config.json"
    if not lexists(path):
        raise RunError(f"{folder} is no run directory", expected="a folder with a config.json")
    content = read_json(path, _CONFIG_FILE)
    if not isinstance(content, dict) or content.get("format") != RUN_FORMAT:
        raise RunError(f"{folder} is no run directory", expected=f'"format": "{RUN_FORMAT}"')
    if content.get("version") != RUN_VERSION:
        raise RunError(
            f"{folder} has format version {content.get('version')!r}",
            expected=f"version {RUN_VERSION}",
            remedy="open it with the release of QCQA Explorer that wrote it",
        )
    config = as_record(content, RUN_CONFIG, path, _CONFIG_FILE)
    among = JOB_FOLDERS.get(config.kind)
    if among is not None and folder.resolve().parent.name != among:
        raise RunError(
            f"{folder} is of kind {config.kind}, without its search",
            expected=f"a folder below {among}/ in the run whose plans it works on",
        )
    return Run(folder=folder, config=config, bundled=bundled, label=read_label(folder))
