"""``qcqa evaluate``: the measured quality of plans beside their source."""

import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from qcqa.budget import heads_within_ratio
from qcqa.cli.budget_options import parse_ratio
from qcqa.cli.inspect import RevisionOption
from qcqa.cli.output import JsonOption, fraction_bar, print_json, print_table
from qcqa.errors import EvaluationError
from qcqa.evaluated import Benchmark, Evaluated
from qcqa.plan import GroupingPlan
from qcqa.plan_file import load_plan, save_plan
from qcqa.report.palette import method_style
from qcqa.runs.run import Run
from qcqa.runs.store import find_run
from qcqa.use_cases.plan import plan_of_result


def evaluate(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="Local folder, Hub id, or 'demo'; that of the run if unset.",
            show_default=False,
        ),
    ] = None,
    plan: Annotated[
        list[Path] | None,
        typer.Option(
            "--plan", "-p", help="A plan.json; may be repeated. Its figures are written into it."
        ),
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", help="A run, whose methods are measured at --budgets.")
    ] = None,
    budgets: Annotated[
        str, typer.Option("--budgets", help="Shares of the source's KV cache.")
    ] = "0.75,0.5,0.25",
    text: Annotated[
        str | None,
        typer.Option("--text", help="Text file for perplexity and next-token accuracy, or 'demo'."),
    ] = None,
    tasks: Annotated[
        str | None,
        typer.Option(
            "--tasks",
            help="Tasks of lm-evaluation-harness, the demo's own (demo_minimal_pairs, "
            "demo_recall), or YAML files; needs the extra 'eval'.",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, help="At most so many documents, and questions per task."),
    ] = None,
    window: Annotated[
        int | None, typer.Option("--window", min=2, help="Tokens that the model reads at once.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1 …")] = "cpu",
    dtype: Annotated[
        str, typer.Option("--dtype", help="Type in which the models run: auto, float32 …")
    ] = "auto",
    revision: RevisionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a model and what plans make of it: perplexity, accuracy, tasks.

    Figures of a run's plans are kept in the run; what is there already is not measured again.

    Examples
    --------
        qcqa evaluate --run demo --budgets 0.5,0.25 --text demo --limit 50

        qcqa evaluate ./Llama-2-7b-hf --plan plan.json --text wiki.txt --device cuda

        qcqa evaluate demo --tasks demo_minimal_pairs,demo_recall --json
    """
    # One bar is enough: ours tells how far the whole is.
    os.environ.setdefault("TQDM_DISABLE", "1")
    # Here, because it loads torch: no other command should wait for that.
    from qcqa.use_cases.evaluate import evaluate_plans

    benchmark = Benchmark(
        text=text,
        tasks=tuple(part.strip() for part in tasks.split(",")) if tasks else (),
        limit=limit,
        window_tokens=window,
    )
    found = find_run(run) if run else None
    source = model or (found.config.model if found else None)
    if source is None:
        raise EvaluationError("neither a model nor a run", expected="at least one of them")
    files = plan or []
    plans = [load_plan(path) for path in files]
    if found:
        plans += _plans_of(found, [parse_ratio(part.strip()) for part in budgets.split(",")])
    with fraction_bar() as show:
        rows = evaluate_plans(
            source,
            plans,
            benchmark,
            revision=revision or (found.config.revision if found else None),
            device=device,
            dtype=dtype,
            folder=found.folder / "measured" if found and not found.bundled else None,
            on_progress=lambda p: show(
                f"{p.stage}, model {p.model + 1} of {p.num_models}", p.fraction
            ),
        )
    for path, measured_plan, row in zip(files, plans, rows[1:], strict=False):
        save_plan(replace(measured_plan, measured=row.measured), path)
    if as_json:
        print_json([asdict(row) for row in rows])
    else:
        print_table([_shown(row) for row in rows])


def _plans_of(run: Run, ratios: list[float]) -> list[GroupingPlan]:
    """Return the best plan of every method at every budget, the same plan once."""
    result = run.result()
    plans: dict[tuple[str, int], GroupingPlan] = {}
    for ratio in ratios:
        heads = heads_within_ratio(result.spec, ratio)
        for method, front in result.fronts.items():
            index = front.within(heads)
            if method != "mha" and index is not None and (method, index) not in plans:
                plans[method, index] = plan_of_result(
                    result, heads, method=method, settings=run.config.settings, run=run.id
                )
    return sorted(plans.values(), key=lambda one: (-one.kv_ratio, one.predicted.wse))


def _shown(row: Evaluated) -> dict[str, str]:
    figures = {one.metric: one for one in row.measured}
    cells = {"method": method_style(row.method).label, "KV ratio": f"{row.kv_ratio:.3f}"}
    for name, figure in figures.items():
        if name.endswith(("_difference", "_ratio")):
            continue
        error = f" ±{figure.standard_error:.2g}" if figure.standard_error else ""
        cells[name] = f"{figure.value:.4g}{error}"
    return cells
