"""``qcqa runs``: the commands that look at runs, stop and continue them, and delete them."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from qcqa.cli import run_files
from qcqa.cli.generated import print_texts, texts_json
from qcqa.cli.jobs import RunArgument, carry_out, conversion_pairs, name_of
from qcqa.cli.measured import description, print_measured
from qcqa.cli.output import JsonOption, console, print_json, print_pairs, print_table
from qcqa.cli.summary import print_result, result_json
from qcqa.errors import RunError
from qcqa.report.measured import short_name
from qcqa.report.runs_table import KV_RATIO, age_text, runs_table
from qcqa.runs import launch, store
from qcqa.runs.config import (
    JOB_FOLDERS,
    ConversionConfig,
    EvaluationConfig,
    GenerationConfig,
    SearchConfig,
)
from qcqa.runs.conversions import converted_of
from qcqa.runs.evaluations import figures_of
from qcqa.runs.generations import texts_of_generation
from qcqa.runs.home import runs_folder
from qcqa.runs.jobs import jobs_of, search_of
from qcqa.runs.run import Run
from qcqa.runs.status import LIVE_STATES
from qcqa.use_cases.points import Points

cli = typer.Typer(
    help="List, show, name, compare, share, cancel, resume and delete runs.", no_args_is_help=True
)
cli.command("rename")(run_files.rename)
cli.command("note")(run_files.note)
cli.command("compare")(run_files.compare)
cli.command("pack")(run_files.pack)
cli.command("load")(run_files.load)


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
        row = {**_row(run), "state": state, "error": problem or None}
        rows.append({**row, "best_at_half": asdict(best) if best else None})
        if isinstance(run, Run):
            rows += [_row(one, of=run) for one in jobs_of(run)]
    if as_json:
        print_json(rows)
    elif rows:
        names = store.short_names([row["run"] for row in rows])
        # A line each for an evaluation's search and for itself: together they are too wide.
        short = {run: name.replace("/", "/\n") for run, name in names.items()}
        print_table([_shown(row) | {"run": short[row["run"]]} for row in rows])
    else:
        console.print(f"No runs in {runs_folder()}. Start one with: qcqa search demo")


@cli.command("show")
def show(run: RunArgument, as_json: JsonOption = False) -> None:
    """Show a run's settings, progress and, as far as it is there, its result and figures.

    Example:

        qcqa runs show 20260131-101500-demo-4f2a
    """
    found = store.find_run(run)
    match found.config:
        case SearchConfig():
            _show_search(found, found.config, as_json=as_json)
        case EvaluationConfig():
            _show_evaluation(found, found.config, as_json=as_json)
        case ConversionConfig():
            _show_conversion(found, found.config, as_json=as_json)
        case GenerationConfig():
            _show_generation(found, found.config, as_json=as_json)


def _show_search(run: Run, config: SearchConfig, *, as_json: bool) -> None:
    try:
        result = run.result()
    except RunError:
        result = None
    measured, jobs = run.measured(), jobs_of(run)
    if as_json:
        print_json(
            {
                **_row_with_details(run),
                "result": result_json(result) if result else None,
                "measured": [asdict(row) for row in measured],
                **{
                    folder: [_row(one, of=run) for one in jobs if one.config.kind == kind]
                    for kind, folder in JOB_FOLDERS.items()
                },
            }
        )
        return
    about = {"methods": ", ".join(config.methods), "seed": str(config.settings.seed)}
    _print_state(run, {"model": config.model, **about})
    if result:
        print_result(result)
    if jobs:
        print_table([_shown(_row(one, of=run)) for one in jobs])
    if measured:
        print_measured(measured)


def _show_evaluation(run: Run, config: EvaluationConfig, *, as_json: bool) -> None:
    rows = figures_of(run)
    search = search_of(run)
    if as_json:
        measured = [asdict(row) for row in rows]
        print_json({**_row_with_details(run, of=search), "measured": measured})
        return
    about = {
        "model": search.search.model,
        "methods, budgets": _points_text(config.points, search),
        "measured": description(config.benchmark),
        "on": f"{config.device}, dtype {config.dtype}",
    }
    _print_state(run, about)
    print_measured(rows)


def _show_conversion(run: Run, config: ConversionConfig, *, as_json: bool) -> None:
    search = search_of(run)
    converted = converted_of(run) if run.status().state == "finished" else None
    if as_json:
        came = asdict(converted) if converted else None
        print_json({**_row_with_details(run, of=search), "converted": came})
        return
    about = {
        "model": search.search.model,
        "method, budget": _points_text((config.point,), search),
        "writes to": config.folder,
    }
    _print_state(run, about)
    if converted:
        print_pairs(conversion_pairs(converted))


def _show_generation(run: Run, config: GenerationConfig, *, as_json: bool) -> None:
    texts = texts_of_generation(run)
    search = search_of(run)
    if as_json:
        print_json({**_row_with_details(run, of=search), "texts": texts_json(texts)})
        return
    about = {
        "model": search.search.model,
        "methods, budgets": _points_text(config.points, search),
        "on": f"{config.device}, dtype {config.dtype}",
    }
    _print_state(run, about)
    print_texts(config.settings.prompt, texts)


def _points_text(points: Points, search: Run) -> str:
    """Return the plans of a job by their methods and budgets, as KV ratios."""
    source = search.result().spec.num_cached_heads
    return ", ".join(f"{method} {heads / source:.3g}" for method, heads in points)


def _print_state(run: Run, about: dict[str, str]) -> None:
    status = run.status()
    pairs = {"run": run.id, "name": run.name, "folder": str(run.folder), **about}
    if run.note:
        pairs["note"] = run.note
    pairs["state"] = status.state
    if status.state == "running":
        pairs["progress"] = f"{status.fraction:.0%} — {status.stage} {status.step}/{status.total}"
    if status.error:
        pairs["error"] = status.error
    print_pairs(pairs)
    if status.state in {"cancelled", "failed", "dead"}:
        console.print(f"Go on with: qcqa runs resume {name_of(run)}")


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
    found = store.find_run(run)
    if not yes:
        typer.confirm(f"Delete {found.folder}?", abort=True)
    store.delete_run(found)
    if as_json:
        print_json({"run": found.id, "deleted": True})
    else:
        console.print(f"Deleted {found.id}.")


def _shown(row: dict[str, Any]) -> dict[str, str]:
    state = row["state"]
    at_work = f" {row['fraction']:.0%}" if state in LIVE_STATES else ""
    best = row.get("best_at_half")
    problem = (row["error"] or "").replace(f"{row['folder']}/", "")
    return {
        "run": row["run"],
        "name": short_name(row["name"] or ""),
        "state": f"{state}{at_work}",
        "age": age_text(row["created"]) if row["created"] else "",
        f"best at {KV_RATIO:.0%} KV": best["text"] if best else problem,
    }


def _row_with_details(run: Run, *, of: Run | None = None) -> dict[str, Any]:
    return {
        **_row(run, of=of),
        "config": run.config.model_dump(mode="json"),
        "status": run.status().model_dump(mode="json"),
    }


def _row(run: Run | store.DamagedRun, *, of: Run | None = None) -> dict[str, Any]:
    """Return a run as JSON; ``of`` is a job's search."""
    if isinstance(run, store.DamagedRun):
        return {
            "run": run.folder.name,
            "kind": None,
            "name": None,
            "note": "",
            "model": None,
            "state": "damaged",
            "fraction": 0.0,
            "created": None,
            "folder": str(run.folder),
            "error": run.error.one_line(),
        }
    state, fraction, problem = "damaged", 0.0, None
    try:
        status = run.status()
        state, fraction, problem = status.state, status.fraction, status.error
    except RunError as error:
        problem = error.one_line()
    return {
        "run": run.id,
        "kind": run.config.kind,
        "name": run.name,
        "note": run.note,
        "model": (of or run).search.model,
        "state": state,
        "fraction": fraction,
        "created": run.config.created,
        "folder": str(run.folder),
        "error": problem,
    }
