"""``qcqa demo``: the whole path on the embedded model, in the terminal."""

from pathlib import Path
from typing import Annotated

import typer

from qcqa.budget import heads_within_ratio
from qcqa.cli.budget_options import parse_ratio
from qcqa.cli.output import JsonOption, console, print_json, progress_bar
from qcqa.cli.summary import print_groupings, print_result, result_json
from qcqa.plan_file import plan_to_json, save_plan
from qcqa.use_cases.plan import plan_of_result
from qcqa.use_cases.search import search_model


def demo(
    budget: Annotated[
        str, typer.Option("--budget", help="Share of the source's KV cache.")
    ] = "0.5",
    out: Annotated[Path, typer.Option("--out", "-o", help="File of the plan.")] = Path("plan.json"),
    as_json: JsonOption = False,
) -> None:
    """Search the demo model, compare the methods, and write the best plan for half the cache.

    Example:

        qcqa demo --budget 0.25 -o plan.json
    """
    ratio = parse_ratio(budget)
    with progress_bar() as show:
        result = search_model("demo", on_progress=show)
    plan = plan_of_result(result, heads_within_ratio(result.spec, ratio))
    save_plan(plan, out)
    if as_json:
        print_json({**result_json(result), "plan": plan_to_json(plan)})
        return
    print_result(result)
    print_groupings(plan)
    console.print(f"\nThe plan is in {out}. See it all in the dashboard with: qcqa app")
