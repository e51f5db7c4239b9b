"""Making, listing, naming and deleting runs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from os.path import lexists
from pathlib import Path
from typing import TypeVar

from qcqa.errors import RunError
from qcqa.files.locks import is_held
from qcqa.files.user_path import as_meant, is_folder, is_plain_file, require_utf8, shown, user_path
from qcqa.files.writing import remove_folder
from qcqa.jobs.clock import utc_now
from qcqa.jobs.config import SearchConfig
from qcqa.jobs.home import runs_folder
from qcqa.jobs.jobs import jobs_of
from qcqa.jobs.label import checked_name, checked_note, write_label
from qcqa.jobs.new import new_id, write_new_run
from qcqa.jobs.run import Run, open_run, worker_lock
from qcqa.packaged import demo_run_folder
from qcqa.search.strategy.config import SearchSettings

#: Characters of an id that are its time: ``20260131-101500``.
_TIME_IN_ID = 15


@dataclass(frozen=True, slots=True)
class DamagedRun:
    """A folder among the runs that cannot be opened, and why."""

    folder: Path
    error: RunError

    @property
    def id(self) -> str:
        """Name of the directory."""
        return self.folder.name


_AnyRun = TypeVar("_AnyRun", Run, Run | DamagedRun)


def create_run(
    *,
    model: str,
    methods: tuple[str, ...],
    settings: SearchSettings,
    revision: str | None = None,
    calibration: str | None = None,
    device: str = "auto",
    name: str | None = None,
    folder: Path | None = None,
) -> Run:
    """Make the directory of a search, ready for a worker.

    Parameters
    ----------
    model, methods, settings, revision, calibration, device
        As in :class:`SearchConfig`.
    name : str, optional
        Title; the model's name by default.
    folder : Path, optional
        Where; a new folder among the user's runs by default.

    Raises
    ------
    RunError
        If ``folder`` exists and holds anything, or cannot be written.
    """
    title = name or Path(model).name or model
    config = SearchConfig(
        name=title,
        created=utc_now(),
        model=_from_anywhere(model),
        revision=revision,
        methods=methods,
        settings=settings,
        calibration=calibration,
        device=device,
    )
    return write_new_run(folder or runs_folder() / new_id(title), config)


def list_runs() -> list[Run | DamagedRun]:
    """Return all searches, newest first, the demo run that came with the package last."""
    runs: list[Run | DamagedRun] = []
    folder = runs_folder()
    if folder.is_dir():
        for path in sorted(folder.iterdir(), reverse=True):
            # A name with a dot is of a run that is on its way in or out.
            if not path.name.startswith(".") and lexists(path / "config.json"):
                runs.append(_opened(path))
    runs.sort(key=_created, reverse=True)
    runs.extend(_bundled_runs())
    return runs


def find_run(name: str) -> Run:
    """Return the run with this folder, id or unambiguous beginning of an id; ``demo`` is bundled.

    A job of a search is found by the id of the search, a slash, and its own.

    Raises
    ------
    RunError
        If there is none, or more than one, or it is damaged.
    """
    found = find_any_run(name)
    if isinstance(found, DamagedRun):
        raise RunError(
            found.error.found,
            expected=found.error.expected,
            remedy=f"if it is of no more use: qcqa runs delete {found.id}",
        ) from found.error
    return found


def find_any_run(name: str) -> Run | DamagedRun:
    """Return a run as :func:`find_run` does, or one that cannot be opened: to delete it.

    Raises
    ------
    RunError
        If there is none, or more than one.
    """
    name = as_meant(name, RunError)
    path = user_path(name, RunError)
    if is_plain_file(path / "config.json"):
        # The folder of a checkpoint has a config.json too: only what lies here is a damaged run.
        is_here = path.resolve().parent == runs_folder().resolve()
        return _opened(path) if is_here else open_run(path)
    search, _, job = name.rpartition("/")
    runs = list_runs()
    if search and job:
        found = _find_match(runs, search, where=str(runs_folder()))
        if isinstance(found, DamagedRun):
            return found
        return _find_match(jobs_of(found), job, where=f"the jobs of {found.id}")
    return _find_match(runs, name, where=str(runs_folder()))


def short_names(ids: Sequence[str]) -> dict[str, str]:
    """Return for every id what is enough of it for :func:`find_run`, if these are all runs.

    It is no shorter than the time with which ids begin. An evaluation's has its search's before it.
    """
    parted = {run_id: run_id.rpartition("/") for run_id in ids}

    def short(folder: str, name: str) -> str:
        others = [other for where, _, other in parted.values() if where == folder and other != name]
        size = _TIME_IN_ID
        while size < len(name) and any(other.startswith(name[:size]) for other in others):
            size += 1
        return name[:size]

    return {
        run_id: f"{short('', folder)}/{short(folder, name)}" if folder else short("", name)
        for run_id, (folder, _, name) in parted.items()
    }


def _find_match(runs: Sequence[_AnyRun], name: str, *, where: str) -> _AnyRun:
    """Return the run whose directory has this name, or the only one whose begins so."""
    names = [run.id.rpartition("/")[2] for run in runs]
    matches = [run for run, run_name in zip(runs, names, strict=True) if run_name == name] or [
        run for run, run_name in zip(runs, names, strict=True) if run_name.startswith(name)
    ]
    if len(matches) == 1:
        return matches[0]
    if not matches:
        raise RunError(
            f"no run {shown(name)!r} in {where}",
            expected="a run directory or the id of a run",
            remedy="list them with: qcqa runs list",
        )
    raise RunError(
        f"{name!r} begins the ids of {len(matches)} runs",
        expected="one of " + ", ".join(run.id for run in matches[:4]),
    )


def jobs_with_those_of(run: Run) -> Iterator[Run]:
    """Yield the jobs of a search, then those of all others here: they tell how fast it is here."""
    yield from jobs_of(run)
    for other in list_runs():
        if isinstance(other, Run) and other.folder.resolve() != run.folder.resolve():
            yield from jobs_of(other)


def rename_run(run: Run, name: str) -> Run:
    """Give a run another name for people; its id stays. Return the run as it is called now.

    Raises
    ------
    RunError
        If the name is empty or too long, or the run came with the package or cannot be written.
    """
    return _relabel(run, name=checked_name(name))


def annotate_run(run: Run, note: str) -> Run:
    """Replace a run's note, of which an empty one is none. Return the run with it.

    Raises
    ------
    RunError
        If the note is too long, or the run came with the package or cannot be written.
    """
    return _relabel(run, note=checked_note(note))


def _relabel(run: Run, **changes: str) -> Run:
    _refuse_bundled(run)
    label = run.label.model_copy(update=changes)
    write_label(run.folder, label)
    return replace(run, label=label)


def delete_run(run: Run | DamagedRun) -> None:
    """Remove a run directory: a search with its jobs, or a job alone.

    What an evaluation has measured stays with its search, and what a conversion has written stays.

    Raises
    ------
    RunError
        If a worker is at work on it, it came with the package, or it may not be removed.
    """
    if isinstance(run, Run):
        _refuse_bundled(run)
        for job in (run, *jobs_of(run)):
            if job.is_at_work():
                raise RunError(
                    f"{job.id} is still at work", remedy=f"first: qcqa runs cancel {job.id}"
                )
    elif is_held(worker_lock(run.folder)):
        # One of a newer release, for instance.
        raise RunError(f"{run.folder.name} is still at work", remedy="wait until it has ended")
    try:
        if run.folder.is_symlink():
            # What it points to is not among the runs: it stays.
            run.folder.unlink()
            return
        remove_folder(run.folder)
    except OSError as error:
        raise RunError(f"cannot delete {run.folder} ({error.strerror})") from error


def _refuse_bundled(run: Run) -> None:
    if run.bundled:
        raise RunError(f"{run.id} came with the package", expected="a run of your own")


def _bundled_runs() -> Iterator[Run]:
    folder = demo_run_folder()
    if folder is not None:
        yield open_run(folder, bundled=True)


def _opened(folder: Path) -> Run | DamagedRun:
    try:
        return open_run(folder)
    except RunError as error:
        return DamagedRun(folder=folder, error=error)


def _created(run: Run | DamagedRun) -> str:
    return run.config.created if isinstance(run, Run) else ""


def _from_anywhere(model: str) -> str:
    """Return the path of a local model so that a worker started in another folder finds it."""
    model = as_meant(model)
    path = user_path(model)
    is_here = model != "demo" and is_folder(path)
    return require_utf8(str(path.resolve())) if is_here else model
