"""Jobs of a search: the runs inside its directory, of whatever kind."""

from qcqa.errors import RunError
from qcqa.runs.run import Run, open_run


def jobs_of(search: Run) -> list[Run]:
    """Return the runs that lie a folder for their kind below a search, newest first.

    What is no run, or is damaged, is left out.
    """
    found = []
    for path in sorted(search.additions.glob("[!.]*/[!.]*/config.json")):
        try:
            found.append(open_run(path.parent))
        except RunError:
            continue
    return sorted(found, key=lambda job: (job.config.created, job.folder.name), reverse=True)
