"""``qcqa runs``: list, show, cancel, resume and delete runs."""

from typing import Annotated, Any

import typer

from qcqa.cli.output import JsonOption, console, print_json, print_pairs, print_table
from qcqa.cli.search import carry_out
from qcqa.cli.summary import print_result, result_json
from qcqa.errors import RunError
from qcqa.runs import launch, store
from qcqa.runs.home import runs_folder
from qcqa.runs.run import Run

cli = typer.Typer(help="List, show, cancel, resume and delete runs.", no_args_is_help=True)

RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="Run directory, its id, or the beginning of its id.", show_default=False
    ),
]


@cli.command("list")
def list_runs(as_json: JsonOption = False) -> None:
    """List all runs, newest first.

    Example:

        qcqa runs list --json
    """
    rows = [_row(run) for run in store.list_runs()]
    if as_json:
        print_json(rows)
    elif rows:
        print_table([_shown(row) for row in rows])
    else:
        console.print(f"No runs in {runs_folder()}. Start one with: qcqa search demo")


@cli.command("show")
def show(run: RunArgument, as_json: JsonOption = False) -> None:
    """Show a run's settings, progress and, as far as it is there, its result.

    Example:

        qcqa runs show 20260131-101500-demo-4f2a
    """
    found = store.find_run(run)
    status = found.status()
    try:
        result = found.result()
    except RunError:
        result = None
    if as_json:
        print_json(
            {
                **_row(found),
                "config": found.config.model_dump(mode="json"),
                "status": status.model_dump(mode="json"),
                "result": result_json(result) if result else None,
            }
        )
        return
    pairs = {
        "run": found.id,
        "folder": str(found.folder),
        "model": found.config.model,
        "methods": ", ".join(found.config.methods),
        "seed": str(found.config.settings.seed),
        "state": status.state,
    }
    if status.state == "running":
        pairs["progress"] = f"{status.fraction:.0%} — {status.stage} {status.step}/{status.total}"
    if status.error:
        pairs["error"] = status.error
    print_pairs(pairs)
    if status.state in {"cancelled", "failed", "dead"}:
        console.print(f"Go on with: qcqa runs resume {found.id}")
    if result:
        print_result(result)


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
        console.print(f"Resumed {found.id}. Watch it with: qcqa runs show {found.id}")


@cli.command("delete")
def delete(
    run: RunArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete a run directory.

    Example:

        qcqa runs delete 20260131 --yes
    """
    found = store.find_run(run)
    if not yes:
        typer.confirm(f"Delete {found.folder}?", abort=True)
    store.delete_run(found)
    if as_json:
        print_json({"run": found.id, "deleted": True})
    else:
        console.print(f"Deleted {found.id}.")


def _shown(row: dict[str, Any]) -> dict[str, str]:
    created = row["created"]
    return {
        "run": row["run"],
        "name": row["name"] or "",
        "state": row["state"],
        "progress": f"{row['fraction']:.0%}",
        "created (UTC)": created[:16].replace("T", " ") if created else "",
        "model": row["model"] or "",
    }


def _row(run: Run | store.DamagedRun) -> dict[str, Any]:
    if isinstance(run, store.DamagedRun):
        return {
            "run": run.folder.name,
            "name": None,
            "model": None,
            "state": "damaged",
            "fraction": 0.0,
            "created": None,
            "folder": str(run.folder),
            "error": run.error.one_line(),
        }
    status = run.status()
    return {
        "run": run.id,
        "name": run.config.name,
        "model": run.config.model,
        "state": status.state,
        "fraction": status.fraction,
        "created": run.config.created,
        "folder": str(run.folder),
        "error": status.error,
    }
