"""Making, listing and deleting runs."""

import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from qcqa.errors import RunError
from qcqa.files import write_text_atomically
from qcqa.packaged import demo_run_folder
from qcqa.runs.clock import utc_now
from qcqa.runs.config import RunConfig
from qcqa.runs.home import runs_folder
from qcqa.runs.run import Run, open_run
from qcqa.runs.status import LIVE_STATES, RunStatus
from qcqa.search.config import SearchSettings


@dataclass(frozen=True, slots=True)
class DamagedRun:
    """A folder among the runs that cannot be opened, and why."""

    folder: Path
    error: RunError


def create_run(
    *,
    model: str,
    methods: tuple[str, ...],
    settings: SearchSettings,
    revision: str | None = None,
    calibration: str | None = None,
    name: str | None = None,
    folder: Path | None = None,
) -> Run:
    """Make a run directory, ready for a worker.

    Parameters
    ----------
    model, methods, settings, revision, calibration
        As in :class:`RunConfig`.
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
    target = folder or runs_folder() / _new_id(title)
    config = RunConfig(
        name=title,
        created=utc_now(),
        model=_from_anywhere(model),
        revision=revision,
        methods=methods,
        settings=settings,
        calibration=calibration,
    )
    run = Run(folder=target, config=config)
    try:
        if target.exists() and any(target.iterdir()):
            raise RunError(
                f"{target} is not empty",
                expected="a new folder for the run",
                remedy=f"choose another, or continue it with: qcqa runs resume {target}",
            )
        target.mkdir(parents=True, exist_ok=True)
        # Whoever lists runs looks for config.json: it comes last.
        run.write_status(RunStatus(state="queued", queued=config.created))
        write_text_atomically(target / "config.json", config.model_dump_json(indent=2) + "\n")
    except OSError as error:
        raise RunError(f"cannot write to {target} ({error.strerror})") from error
    return run


def list_runs() -> list[Run | DamagedRun]:
    """Return all runs, newest first, the demo run that came with the package last."""
    runs: list[Run | DamagedRun] = []
    folder = runs_folder()
    if folder.is_dir():
        for path in sorted(folder.iterdir(), reverse=True):
            if (path / "config.json").exists():
                try:
                    runs.append(open_run(path))
                except RunError as error:
                    runs.append(DamagedRun(folder=path, error=error))
    runs.sort(key=_created, reverse=True)
    runs.extend(_bundled_runs())
    return runs


def find_run(name: str) -> Run:
    """Return the run with this folder, id or unambiguous beginning of an id; ``demo`` is bundled.

    Raises
    ------
    RunError
        If there is none, or more than one.
    """
    path = Path(name)
    if (path / "config.json").is_file():
        # The folder of a checkpoint has a config.json too: opening tells them apart.
        return open_run(path)
    runs = [run for run in list_runs() if isinstance(run, Run)]
    matches = [run for run in runs if run.id == name] or [
        run for run in runs if run.id.startswith(name)
    ]
    if len(matches) == 1:
        return matches[0]
    if not matches:
        raise RunError(
            f"no run {name!r} in {runs_folder()}",
            expected="a run directory or the id of a run",
            remedy="list them with: qcqa runs list",
        )
    raise RunError(
        f"{name!r} begins the ids of {len(matches)} runs",
        expected="one of " + ", ".join(run.id for run in matches[:4]),
    )


def delete_run(run: Run) -> None:
    """Remove a run directory.

    Raises
    ------
    RunError
        If its worker is at work, or the run came with the package.
    """
    if run.bundled:
        raise RunError(f"{run.id} came with the package", expected="a run of your own")
    if run.status().state in LIVE_STATES:
        raise RunError(
            f"{run.id} is still {run.status().state}", remedy=f"first: qcqa runs cancel {run.id}"
        )
    shutil.rmtree(run.folder)


def _bundled_runs() -> Iterator[Run]:
    folder = demo_run_folder()
    if folder is not None:
        yield open_run(folder, bundled=True)


def _created(run: Run | DamagedRun) -> str:
    return run.config.created if isinstance(run, Run) else ""


def _from_anywhere(model: str) -> str:
    """Return the path of a local model so that a worker started in another folder finds it."""
    is_folder = model != "demo" and Path(model).expanduser().is_dir()
    return str(Path(model).expanduser().resolve()) if is_folder else model


def _new_id(title: str) -> str:
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    slug = "".join(c if c.isalnum() else "-" for c in title.lower()).strip("-")[:32]
    return f"{stamp}-{slug or 'run'}-{secrets.token_hex(2)}"
