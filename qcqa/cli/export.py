"""``qcqa export``: charts, tables and code of a run, as files."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from qcqa.charts.common.figure_file import save_figure
from qcqa.charts.common.kv_axis import KvAxis, KvUnit
from qcqa.charts.fronts.chart import front_chart, grouping_chart
from qcqa.charts.fronts.comparison import comparison_table
from qcqa.charts.fronts.front_table import front_table
from qcqa.charts.quality.accuracy_table import accuracy_table
from qcqa.charts.quality.series import metrics_of
from qcqa.cli.budget_options import BatchOption, DtypeOption, parse_ratio
from qcqa.cli.jobs import RunArgument
from qcqa.cli.origin import tell_origin, tell_unfinished
from qcqa.cli.output import JsonOption, console, print_json
from qcqa.errors import ExportError
from qcqa.files.user_path import user_path
from qcqa.files.writing import write_text_atomically
from qcqa.jobs.plans import plan_of_run
from qcqa.jobs.recipe import recipe_of
from qcqa.jobs.recipe_python import python_recipe
from qcqa.jobs.recipe_shell import shell_recipe
from qcqa.jobs.run import Run
from qcqa.jobs.store import find_run
from qcqa.plan.budget import CacheLoad, bits_within_ratio
from qcqa.plan.plan import Plan
from qcqa.sizes import bytes_text

cli = typer.Typer(help="Write charts, tables and code of a run.", no_args_is_help=True)

OutOption = Annotated[
    Path, typer.Option("--out", "-o", parser=user_path, metavar="PATH", help="File to write.")
]
RatioOption = Annotated[
    str, typer.Option("--budget", "-b", help="Share of the source's KV cache: 50% or 0.5.")
]
MethodOption = Annotated[
    str | None,
    typer.Option(
        "--method", "-m", help="Method of the plan; the best if unset.", show_default=False
    ),
]
ContextOption = Annotated[int, typer.Option("--context", help="Tokens of a sequence.")]


@cli.command("chart")
def chart(
    run: RunArgument,
    out: OutOption,
    show: Annotated[
        Literal["fronts", "groups"],
        typer.Option("--show", help="The fronts of all methods, or a plan's groups of heads."),
    ] = "fronts",
    vertical: Annotated[
        str,
        typer.Option(
            "--vertical",
            help="Of the fronts: relative, absolute, gap, output-error, loss, or a measured "
            "metric such as heldout/accuracy.",
        ),
    ] = "relative",
    budget: RatioOption = "50%",
    method: MethodOption = None,
    unit: Annotated[KvUnit, typer.Option("--unit", help="Of the cache's size.")] = "percent",
    context: ContextOption = 4096,
    batch: BatchOption = 1,
    dtype: DtypeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a chart as HTML, PNG or SVG, as the file's name says.

    HTML needs no network. PNG and SVG are drawn by a Chromium, Chrome or Edge that is installed
    here; BROWSER_PATH names another one.

    Examples
    --------
        qcqa export chart demo -o front.html

        qcqa export chart demo --vertical heldout/accuracy --budget 37.5% -o accuracy.png

        qcqa export chart demo --show groups --method best --budget 37.5% -o groups.svg
    """
    found = find_run(run)
    result = found.result()
    ratio = parse_ratio(budget)
    kv_bits = bits_within_ratio(result.spec, ratio)
    plan = None
    if show == "fronts":
        load = CacheLoad(context_tokens=context, batch_size=batch, dtype=dtype or result.spec.dtype)
        figure = front_chart(
            result.at(load),
            KvAxis(result.spec, load, unit),
            name=found.config.name,
            vertical=vertical,
            rows=found.measured(),
            budget=ratio,
        )
    else:
        plan = plan_of_run(found, kv_bits, method=method, result=result)
        figure = grouping_chart(plan, name=found.config.name)
    save_figure(figure, out)
    _tell(found, out, plan, as_json=as_json)


@cli.command("table")
def table(
    run: RunArgument,
    out: OutOption,
    show: Annotated[
        Literal["methods", "front", "measured"],
        typer.Option(
            "--show",
            help="All methods at the budget, all plans of all fronts, or the measured figures.",
        ),
    ] = "methods",
    budget: RatioOption = "50%",
    context: ContextOption = 4096,
    batch: BatchOption = 1,
    dtype: DtypeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a table as CSV.

    Examples
    --------
        qcqa export table demo --budget 37.5% -o methods.csv

        qcqa export table demo --show front -o front.csv
    """
    found = find_run(run)
    result = found.result()
    load = CacheLoad(context_tokens=context, batch_size=batch, dtype=dtype or result.spec.dtype)
    if show == "measured":
        rows = found.measured()
        if not rows:
            raise ExportError(
                f"nothing was measured in {found.id}", remedy="measure plans with: qcqa evaluate"
            )
        text = accuracy_table(rows, metrics_of(rows)).to_csv(index=False)
    elif show == "front":
        text = front_table(result.at(load), load).to_csv(index=False)
    else:
        kv_bits = bits_within_ratio(result.spec, parse_ratio(budget))
        text = comparison_table(result.at(load), kv_bits, load).to_csv()
    _write(out, text)
    _tell(found, out, as_json=as_json)


@cli.command("code")
def code(
    run: RunArgument,
    budget: RatioOption = "50%",
    method: MethodOption = None,
    python: Annotated[
        bool, typer.Option("--python", help="A Python script instead of commands.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="File to write; standard output by default."),
    ] = None,
) -> None:
    """Print what makes a plan of a run again: search, measure, plan and convert.

    Examples
    --------
        qcqa export code demo --budget 37.5%

        qcqa export code demo --budget 37.5% --python -o again.py
    """
    found = find_run(run)
    result = found.result()
    kv_bits = bits_within_ratio(result.spec, parse_ratio(budget))
    rows = found.measured()
    plan = plan_of_run(found, kv_bits, method=method, result=result, rows=rows)
    recipe = recipe_of(found, plan, kv_bits, rows)
    text = python_recipe(recipe) if python else shell_recipe(recipe)
    if out is None:
        print(text, end="")
    else:
        _write(out, text)
    tell_origin(found, plan)


def _write(path: Path, text: str) -> None:
    try:
        write_text_atomically(path, text)
    except OSError as error:
        raise ExportError(f"{path} cannot be written ({error.strerror})") from error


def _tell(run: Run, path: Path, plan: Plan | None = None, *, as_json: bool) -> None:
    """Say what was written, and of the plan on it, if there is one, why it was taken."""
    if plan is None:
        tell_unfinished(run)
    else:
        tell_origin(run, plan)
    if as_json:
        print_json({"file": str(path), "bytes": path.stat().st_size})
    else:
        console.print(f"{path}: {bytes_text(path.stat().st_size)}")
