"""``qcqa worker``: carry out a queued run; the dashboard starts it."""

from pathlib import Path
from typing import Annotated

import typer

from qcqa.jobs.run import open_run
from qcqa.jobs.worker import Cancelled, work


def worker(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    lock: Annotated[int | None, typer.Option(help="Open file with its lock, held.")] = None,
) -> None:
    """Carry out a queued run in this process."""
    try:
        work(open_run(run), inherited=lock)
    except Cancelled:
        raise typer.Exit(130) from None
