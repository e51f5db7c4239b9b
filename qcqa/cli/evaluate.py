"""``qcqa evaluate``: the measured quality, speed and memory of plans beside their source."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from qcqa.cli.budget_options import parse_ratio
from qcqa.cli.field_options import help_of
from qcqa.cli.jobs import print_estimate, start_or_carry_out
from qcqa.cli.measured import print_measured, row_json
from qcqa.cli.model_options import (
    DeviceOption,
    ModelDtypeOption,
    ModelInsteadArgument,
    RevisionOption,
)
from qcqa.cli.origin import tell_unfinished
from qcqa.cli.output import JsonOption, print_json, progress_bar
from qcqa.errors import EvaluationError
from qcqa.files.places import require_writable
from qcqa.files.user_path import as_meant, user_path
from qcqa.jobs.evaluations import create_evaluation, evaluation_before_start
from qcqa.jobs.pace import measuring_pace
from qcqa.jobs.run import Run
from qcqa.jobs.store import find_run, jobs_with_those_of
from qcqa.measure.benchmark import Benchmark, DecodeLoad
from qcqa.measure.evaluation import Evaluation, newest_figures
from qcqa.pick.points import Points, points_along
from qcqa.plan.file import load_plan, save_plan

_DEFAULT_BUDGETS = "75%,50%,25%"


def evaluate(
    model: ModelInsteadArgument = None,
    plan: Annotated[
        list[Path] | None,
        typer.Option(
            "--plan",
            "-p",
            parser=user_path,
            metavar="FILE",
            help="A plan.json; may be repeated. Its figures are written into it as they come.",
        ),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option("--run", help="A search, whose methods are measured at --budgets."),
    ] = None,
    budgets: Annotated[
        str | None,
        typer.Option(
            "--budgets",
            help=f"Shares of the source's KV cache; {_DEFAULT_BUDGETS} if unset.",
            show_default=False,
        ),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method", "-m", help="Only this method of the run; may be repeated. All if unset."
        ),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(
            "--text",
            parser=as_meant,
            metavar="FILE",
            help=help_of(Benchmark, "text"),
        ),
    ] = None,
    tasks: Annotated[
        str | None,
        typer.Option(
            "--tasks",
            help="Tasks of lm-evaluation-harness, the demo's own (demo_minimal_pairs, "
            "demo_recall), or YAML files; needs the extra 'eval'.",
        ),
    ] = None,
    allow_task_code: Annotated[
        bool,
        typer.Option(
            "--allow-task-code",
            help="Run the code that YAML files of --tasks name. Read it before.",
        ),
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, help=help_of(Benchmark, "limit")),
    ] = None,
    window: Annotated[
        int | None, typer.Option("--window", min=2, help=help_of(Benchmark, "window_tokens"))
    ] = None,
    speed: Annotated[
        bool, typer.Option("--speed", help="Time generation, source and plan in turns.")
    ] = False,
    context: Annotated[
        int, typer.Option("--context", min=1, help=help_of(DecodeLoad, "context_tokens"))
    ] = 512,
    batch: Annotated[
        int, typer.Option("--batch", min=1, help=help_of(DecodeLoad, "batch_size"))
    ] = 1,
    new_tokens: Annotated[
        int, typer.Option("--new-tokens", min=1, help=help_of(DecodeLoad, "new_tokens"))
    ] = 32,
    device: DeviceOption = "auto",
    dtype: ModelDtypeOption = "auto",
    detach: Annotated[
        bool, typer.Option("--detach", help="With --run: measure in the background.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --run: say what it takes, and measure nothing.")
    ] = False,
    revision: RevisionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a model and what plans make of it: perplexity, accuracy, tasks, speed, memory.

    The plans of a run are measured by a job inside the run, which keeps all figures; what is
    there already is not measured again. Ctrl-C cancels, and `qcqa runs resume` goes on. The live
    KV cache of every plan is compared with the size that the plan promises. A model that `qcqa
    convert` wrote is measured by itself.

    Examples
    --------
        qcqa evaluate --run demo --budgets 50%,25% --text demo --limit 50

        qcqa evaluate --run runs/llama --text wiki.txt --limit 50 --dry-run

        qcqa evaluate --run runs/llama -m qcqa-ac -m gqa --tasks hellaswag,arc_easy --detach

        qcqa evaluate ./Llama-2-7b-hf --plan plan.json --text wiki.txt --speed --device cpu

        qcqa evaluate demo --tasks demo_minimal_pairs,demo_recall --json
    """
    benchmark = Benchmark(
        text=text,
        tasks=tuple(map(as_meant, tasks.split(","))) if tasks else (),
        limit=limit,
        window_tokens=window,
        speed=DecodeLoad(context, batch, new_tokens) if speed else None,
        allow_task_code=allow_task_code,
    )
    if run is None:
        if budgets or method or detach or dry_run:
            raise EvaluationError(
                "--budgets, --method, --detach or --dry-run without a run",
                expected="--run RUN with them",
            )
        _measure_here(model, plan or [], benchmark, revision, device, dtype, as_json=as_json)
        return
    if model or plan or revision:
        raise EvaluationError(
            "--run with a model, a revision or a plan's file",
            expected="either a run, which names its model, or a model with plans",
            remedy="for a model that has moved: qcqa plan RUN -o plan.json, then "
            "qcqa evaluate MODEL --plan plan.json",
        )
    search = find_run(run)
    ratios = [parse_ratio(part.strip()) for part in (budgets or _DEFAULT_BUDGETS).split(",")]
    points = points_along(search.result(), ratios, methods=method)
    if dry_run:
        _dry_run(search, points, benchmark, device, dtype, as_json=as_json)
        return
    evaluation = create_evaluation(
        search, points=points, benchmark=benchmark, device=device, dtype=dtype
    )
    tell_unfinished(search)
    start_or_carry_out(evaluation, detach=detach, as_json=as_json)


def _dry_run(
    run: Run, points: Points, benchmark: Benchmark, device: str, dtype: str, *, as_json: bool
) -> None:
    """Say what an evaluation takes."""
    config, counted = evaluation_before_start(
        run, points=points, benchmark=benchmark, device=device, dtype=dtype
    )
    pace, timed = measuring_pace(jobs_with_those_of(run), like=config)
    print_estimate(counted.at_pace(pace, timed_jobs=timed), as_json=as_json)


def _measure_here(
    model: str | None,
    files: Sequence[Path],
    benchmark: Benchmark,
    revision: str | None,
    device: str,
    dtype: str,
    *,
    as_json: bool,
) -> None:
    """Measure a model and plans from files, and write the plans' figures into them."""
    if model is None:
        raise EvaluationError("neither a model nor a run", expected="one of them")
    plans = [load_plan(path) for path in files]
    for path in files:
        require_writable(path.parent)
    # Here, because it loads torch: no other command should wait for that.
    from qcqa.measure.evaluate import evaluate_plans
    from qcqa.measure.evaluate_converted import evaluate_converted, is_converted

    waiting = iter(zip(files, plans, strict=True))

    def write_into_plan(row: Evaluation) -> None:
        if not row.is_source:
            path, plan = next(waiting)
            measured = newest_figures(plan.measured, row.measured)
            save_plan(replace(plan, measured=measured), path)

    with progress_bar() as show:
        if is_converted(model) and not plans:
            rows = [
                evaluate_converted(
                    user_path(model),
                    benchmark,
                    device=device,
                    dtype=dtype,
                    on_progress=show,
                )
            ]
        else:
            rows = evaluate_plans(
                model,
                plans,
                benchmark,
                revision=revision,
                device=device,
                dtype=dtype,
                on_progress=show,
                on_row=write_into_plan,
            )
    if as_json:
        print_json([row_json(row) for row in rows])
    else:
        print_measured(rows)
