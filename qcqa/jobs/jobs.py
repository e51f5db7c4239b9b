"""Jobs that work on a search's plans: runs inside its directory."""

from qcqa.errors import RunError
from qcqa.jobs.config import JOB_FOLDERS
from qcqa.jobs.run import Run, open_run
from qcqa.packaged import demo_run_folder


def jobs_of(run: Run, kind: str | None = None) -> list[Run]:
    """Return the jobs of a search, newest first; damaged ones are left out.

    Parameters
    ----------
    run : Run
        The search.
    kind : str, optional
        Only these; a key of ``JOB_FOLDERS``.
    """
    names = JOB_FOLDERS.values() if kind is None else (JOB_FOLDERS[kind],)
    folders = [run.additions / name for name in names]
    found = []
    for path in (entry for folder in folders if folder.is_dir() for entry in folder.iterdir()):
        if path.name.startswith("."):
            # On its way in, or left behind on it.
            continue
        try:
            found.append(open_run(path))
        except RunError:
            continue
    # Names settle a tie, so that the order is always the same.
    return sorted(found, key=lambda job: (job.config.created, job.folder.name), reverse=True)


def search_of(job: Run) -> Run:
    """Return the search whose plans a job works on.

    Raises
    ------
    RunError
        If it cannot be opened, or came with another release of the package.
    """
    folder = job.folder.resolve().parents[1]
    bundled = demo_run_folder()
    if bundled is not None:
        run = open_run(bundled, bundled=True)
        if run.additions.resolve() == folder:
            return run
    return open_run(folder)
