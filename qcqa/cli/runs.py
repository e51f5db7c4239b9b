"""``qcqa runs``: the commands that list runs, stop and continue them, and delete them."""

from dataclasses import asdict
from typing import Annotated

import typer

from qcqa.charts.jobs.runs_table import runs_table
from qcqa.cli import run_files, run_forget, run_show
from qcqa.cli.jobs import RunArgument, carry_out, name_of
from qcqa.cli.output import JsonOption, console, print_json, print_table
from qcqa.cli.run_rows import row_text, run_row
from qcqa.jobs import launch, store
from qcqa.jobs.home import runs_folder
from qcqa.jobs.jobs import jobs_of
from qcqa.jobs.run import Run

cli = typer.Typer(
    help="List, show, name, compare, share, cancel, resume and delete runs.", no_args_is_help=True
)
cli.command("rename")(run_files.rename)
cli.command("note")(run_files.note)
cli.command("compare")(run_files.compare)
cli.command("pack")(run_files.pack)
cli.command("load")(run_files.load)
cli.command("forget")(run_forget.forget)


@cli.command("list")
def list_runs(as_json: JsonOption = False) -> None:
    """List all searches, newest first, each with its jobs below it.

    Example:

        qcqa runs list --json
    """
    runs = store.list_runs()
    table = runs_table(runs)
    rows = []
    found = zip(runs, table["best"], table["state"], table["problem"].fillna(""), strict=True)
    for run, best, state, problem in found:
        # Results that cannot be read show in the table only.
        row = {**run_row(run), "state": state, "error": problem or None}
        rows.append({**row, "best_at_half": asdict(best) if best else None})
        if isinstance(run, Run):
            rows += [run_row(job, of=run) for job in jobs_of(run)]
    if as_json:
        print_json(rows)
    elif rows:
        names = store.short_names([row["run"] for row in rows])
        # A line each for an evaluation's search and for itself: together they are too wide.
        short = {run: name.replace("/", "/\n") for run, name in names.items()}
        print_table([row_text(row) | {"run": short[row["run"]]} for row in rows])
    else:
        console.print(f"No runs in {runs_folder()}. Start one with: qcqa search demo")


cli.command("show")(run_show.show)


@cli.command("cancel")
def cancel(run: RunArgument, as_json: JsonOption = False) -> None:
    """Stop a run's worker; what is finished is kept.

    Example:

        qcqa runs cancel 20260131
    """
    found = store.find_run(run)
    status = launch.cancel(found)
    if as_json:
        print_json({"run": found.id, "state": status.state})
    else:
        console.print(f"{found.id} is {status.state}.")


@cli.command("resume")
def resume(
    run: RunArgument,
    detach: Annotated[
        bool, typer.Option("--detach", help="Go on in the background and return at once.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Go on with a run that was cancelled, failed or whose worker died.

    The result is the same as that of an undisturbed run.

    Example:

        qcqa runs resume 20260131 --detach
    """
    found = store.find_run(run)
    if not detach:
        launch.requeue(found)
        carry_out(found, as_json=as_json)
        return
    launch.resume(found)
    if as_json:
        print_json({"run": found.id, "folder": str(found.folder)})
    else:
        console.print(f"Resumed {found.id}. Watch it with: qcqa runs show {name_of(found)}")


@cli.command("delete")
def delete(
    run: RunArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete a run directory; a checkpoint that a conversion has written stays.

    Example:

        qcqa runs delete 20260131 --yes
    """
    found = store.find_any_run(run)
    if not yes:
        typer.confirm(f"Delete {found.folder}?", abort=True)
    store.delete_run(found)
    if as_json:
        print_json({"run": found.id, "deleted": True})
    else:
        console.print(f"Deleted {found.id}.")
