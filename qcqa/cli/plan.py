"""``qcqa plan``: the best plan of a run for a budget, as a file."""

from pathlib import Path
from typing import Annotated

import typer

from qcqa.charts.common.wording import kept_words
from qcqa.cli.budget_options import (
    BatchOption,
    BudgetGibOption,
    BudgetOption,
    ContextOption,
    DtypeOption,
    at_budget,
)
from qcqa.cli.jobs import RunArgument
from qcqa.cli.origin import tell_origin
from qcqa.cli.output import JsonOption, console, print_json
from qcqa.files.user_path import user_path
from qcqa.jobs.plans import plan_of_run
from qcqa.jobs.store import find_run
from qcqa.plan.file import plan_text, plan_to_json, save_plan


def plan(
    run: RunArgument,
    budget: BudgetOption = None,
    budget_gib: BudgetGibOption = None,
    context: ContextOption = None,
    batch: BatchOption = 1,
    dtype: DtypeOption = None,
    method: Annotated[
        str | None,
        typer.Option(
            "--method",
            "-m",
            help="Method whose plan is taken; the best by what was measured if unset.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            parser=user_path,
            metavar="PATH",
            help="File to write; standard output by default.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the best plan of a run that fits a KV-cache budget.

    The best is what was measured to be it, else what was chosen by what is closest to quality:
    measured loss, output error, WSE. Standard error and the file's provenance say on which ground,
    and what is missing where the search did not finish.

    What `qcqa evaluate --run` has measured on that very plan goes into the file.

    Examples
    --------
        qcqa plan demo --budget 50% -o plan.json

        qcqa plan runs/llama --budget-gib 8 --context 32768 --batch 4 --dtype float16 -o plan.json
    """
    found = find_run(run)
    result, kv_bits = at_budget(
        found.result(),
        budget=budget,
        budget_gib=budget_gib,
        context=context,
        batch=batch,
        dtype=dtype,
    )
    chosen = plan_of_run(found, kv_bits, method=method, result=result)
    if out:
        save_plan(chosen, out)
    tell_origin(found, chosen)
    wse = chosen.predicted.relative_wse
    if as_json:
        print_json(plan_to_json(chosen))
    elif out:
        console.print(
            f"{out}: {chosen.method}, {kept_words(chosen)}, KV ratio {chosen.kv_ratio:.4g}, "
            f"{chosen.kv_bytes_per_token / 1024:.4g} KiB per token, "
            + (f"relative WSE {wse:.4g}, " if chosen.shares_heads else "")
            + f"{len(chosen.measured) or 'no'} measured figures"
        )
    else:
        print(plan_text(chosen), end="")
