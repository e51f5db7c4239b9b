"""``qcqa demo``: the whole path on the embedded model, in the terminal."""

from pathlib import Path
from typing import Annotated

import typer

from qcqa.cli.budget_options import parse_ratio
from qcqa.cli.jobs import carry_out, work_through
from qcqa.cli.output import JsonOption, console, print_json, progress_bar
from qcqa.cli.summary import print_groupings, print_result, result_json
from qcqa.files.user_path import user_path
from qcqa.jobs.evaluations import require_harness
from qcqa.jobs.included import BENCHMARK, create_included_evaluation, create_included_search
from qcqa.jobs.launch import requeue
from qcqa.jobs.run import open_run
from qcqa.pick.plan import plan_of_result
from qcqa.plan.budget import bits_within_ratio
from qcqa.plan.file import plan_to_json, save_plan
from qcqa.search.search import search_model


def demo(
    budget: Annotated[
        str, typer.Option("--budget", help="Share of the source's KV cache: 50% or 0.5.")
    ] = "50%",
    out: Annotated[
        Path,
        typer.Option("--out", "-o", parser=user_path, metavar="PATH", help="File of the plan."),
    ] = Path("plan.json"),
    run: Annotated[
        Path | None,
        typer.Option(
            "--run",
            parser=user_path,
            metavar="PATH",
            help="Make in this folder the run again that the dashboard shows first: a search by "
            "the preset best, and all its methods measured. Takes some ten minutes.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Search the demo model, compare the methods, and write the best plan for half the cache.

    Examples
    --------
        qcqa demo --budget 25% -o plan.json

        qcqa demo --run runs/demo
    """
    if run is not None:
        _make_included_run(run, as_json=as_json)
        return
    ratio = parse_ratio(budget)
    with progress_bar() as show:
        result = search_model("demo", on_progress=show)
    plan = plan_of_result(result, bits_within_ratio(result.spec, ratio))
    save_plan(plan, out)
    typer.echo(plan.provenance["chosen"]["why"], err=True)
    if as_json:
        print_json({**result_json(result), "plan": plan_to_json(plan)})
        return
    print_result(result)
    print_groupings(plan)
    console.print(f"\nThe plan is in {out}. See it all in the dashboard with: qcqa app")


def _make_included_run(folder: Path, *, as_json: bool) -> None:
    """Search and measure, from where an earlier call was stopped."""
    require_harness(BENCHMARK)
    if (folder / "config.json").exists():
        search = open_run(folder)
        if search.status().state != "finished":
            requeue(search)
    else:
        search = create_included_search(folder)
    if search.status().state != "finished":
        work_through(search, as_json=as_json)
    carry_out(create_included_evaluation(search), as_json=as_json)
