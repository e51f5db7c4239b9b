"""``qcqa sensitivity``: what each layer of a plan does alone to the predictions."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from qcqa.cli.budget_options import parse_ratio
from qcqa.cli.field_options import help_of
from qcqa.cli.jobs import name_of, print_estimate, print_outcome, start_or_carry_out
from qcqa.cli.layers import print_layers
from qcqa.cli.model_options import (
    DeviceOption,
    ModelDtypeOption,
    ModelInsteadArgument,
    RevisionOption,
)
from qcqa.cli.origin import tell_origin
from qcqa.cli.output import JsonOption, console, print_json, progress_bar
from qcqa.errors import EvaluationError
from qcqa.files.user_path import as_meant, user_path
from qcqa.jobs.plans import plan_of_run
from qcqa.jobs.sensitivities import create_sensitivity, found_before, sensitivity_before_start
from qcqa.jobs.store import find_run
from qcqa.measure.sensitivity import SensitivitySettings
from qcqa.plan.budget import bits_within_ratio
from qcqa.plan.file import load_plan


def sensitivity(
    model: ModelInsteadArgument = None,
    plan: Annotated[
        Path | None,
        typer.Option(
            "--plan", "-p", parser=user_path, metavar="FILE", help="A plan.json, with MODEL."
        ),
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", help="A search, whose plan at --budget is measured.")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget",
            "-b",
            help="Share of the source's KV cache; 0.5 if unset.",
            show_default=False,
        ),
    ] = None,
    method: Annotated[
        str | None, typer.Option("--method", "-m", help="Method of the run; its best if unset.")
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(
            "--text",
            parser=as_meant,
            metavar="FILE",
            help="Text file, or 'demo'; not the one that the plan was calibrated on.",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, help=help_of(SensitivitySettings, "num_windows"))
    ] = SensitivitySettings("").num_windows,
    window: Annotated[
        int, typer.Option("--window", min=4, help=help_of(SensitivitySettings, "window_tokens"))
    ] = SensitivitySettings("").window_tokens,
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
    """Measure how far the predictions move when one layer alone is reduced as a plan has it.

    All other layers are the source's. For each layer it tells the KL divergence from the source's
    predictions and how often both think the same token the most probable. It takes minutes. With
    --run it is a job inside the run, which keeps the figures; what is there already is not
    measured again. Ctrl-C cancels, and `qcqa runs resume` goes on.

    Examples
    --------
        qcqa sensitivity --run demo --budget 50% -m qcqa-ac --text demo

        qcqa sensitivity --run runs/llama -m gqa --text wiki.txt --limit 32 --dry-run

        qcqa sensitivity --run runs/llama -m gqa --text wiki.txt --limit 32 --detach

        qcqa sensitivity ./Llama-2-7b-hf --plan plan.json --text wiki.txt --json
    """
    if text is None:
        raise EvaluationError("no text to measure on", expected="--text FILE")
    settings = SensitivitySettings(text, num_windows=limit, window_tokens=window)
    if run is None:
        if budget or method or detach or dry_run:
            raise EvaluationError(
                "--budget, --method, --detach or --dry-run without a run",
                expected="--run RUN with them",
            )
        _measure_here(model, plan, settings, revision, device, dtype, as_json=as_json)
        return
    if model or plan or revision:
        raise EvaluationError(
            "--run with a model, a revision or a plan's file",
            expected="either a run, which names its model, or a model with a plan",
        )
    search = find_run(run)
    kv_bits = bits_within_ratio(search.result().spec, parse_ratio(budget or "50%"))
    chosen = plan_of_run(search, kv_bits, method=method)
    point = (chosen.method, kv_bits)
    before = found_before(search, chosen, settings, device=device, dtype=dtype)
    if before is not None:
        tell_origin(search, chosen)
        if not dry_run:
            print_outcome(before, as_json=as_json)
        elif as_json:
            print_json({"measured": before.id})
        else:
            console.print(f"This is measured already: qcqa runs show {name_of(before)}")
        return
    if dry_run:
        estimate = sensitivity_before_start(
            search, point=point, settings=settings, device=device, dtype=dtype
        )
        tell_origin(search, chosen)
        print_estimate(estimate, as_json=as_json)
        return
    measurement = create_sensitivity(
        search, point=point, settings=settings, device=device, dtype=dtype
    )
    tell_origin(search, chosen)
    start_or_carry_out(measurement, detach=detach, as_json=as_json)


def _measure_here(
    model: str | None,
    file: Path | None,
    settings: SensitivitySettings,
    revision: str | None,
    device: str,
    dtype: str,
    *,
    as_json: bool,
) -> None:
    """Measure a plan from a file; nothing is kept."""
    if model is None or file is None:
        raise EvaluationError(
            "neither a run nor a model with a plan", expected="--run RUN, or MODEL --plan FILE"
        )
    plan = load_plan(file)
    # Here, because it loads torch: no other command should wait for that.
    from qcqa.measure.measure_layers import layer_sensitivity

    with progress_bar() as show:
        found = layer_sensitivity(
            model,
            plan,
            settings,
            revision=revision,
            device=device,
            dtype=dtype,
            on_progress=show,
        )
    if as_json:
        print_json(asdict(found))
    else:
        print_layers(found)
