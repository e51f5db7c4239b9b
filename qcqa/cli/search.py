"""``qcqa search``: search a model, in this process or in the background."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from qcqa.charts.jobs.preflight import model_facts, search_facts, time_text
from qcqa.cli.field_options import field_option, with_fields
from qcqa.cli.jobs import start_or_carry_out
from qcqa.cli.model_options import ModelArgument, RevisionOption
from qcqa.cli.output import JsonOption, console, print_json, print_pairs
from qcqa.errors import SettingsError
from qcqa.files.user_path import as_meant, user_path
from qcqa.jobs.home import runs_folder
from qcqa.jobs.pace import machine_pace
from qcqa.jobs.run import Run
from qcqa.jobs.store import create_run, list_runs
from qcqa.model.inspect import inspect_model
from qcqa.reduce.bits.options import BitsOptions
from qcqa.reduce.registry import REDUCTIONS
from qcqa.reduce.terms import Fitness, MergeName
from qcqa.search.method_sets import (
    all_searched,
    calibration_of,
    reductions_named,
    refuse_unused,
    require_calibration,
    second_stage,
    that_reduce,
    usual_methods,
    with_baselines,
)
from qcqa.search.preflight import Preflight, preflight
from qcqa.search.presets import PRESETS, preset_named
from qcqa.search.strategy.config import CommonSettings, SearchSettings
from qcqa.search.strategy.options import ExactOptions, TwoStageOptions


@with_fields
def search(
    model: ModelArgument,
    *,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            "-m",
            help=f"{', '.join(all_searched())}; may be repeated. By default "
            "optimal and QCQA as published, or by weights alone (-wse) without a text.",
            show_default=False,
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            help=" ".join(f"{name}: {preset.description}" for name, preset in PRESETS.items()),
        ),
    ] = None,
    reduce: Annotated[
        str | None,
        typer.Option(
            "--reduce",
            metavar="NAMES",
            help="What may be reduced, separated by commas: "
            f"{', '.join(row.label for row in REDUCTIONS.values())}. If unset heads, and with "
            "--preset best bits, too.",
        ),
    ] = None,
    calibration: Annotated[
        str | None,
        typer.Option(
            "--calibration",
            metavar="FILE",
            parser=as_meant,
            help="Text on which QCQA's second stage, and all but WSE, measures the model; the demo "
            "model has its own.",
        ),
    ] = None,
    fitness: Annotated[
        Fitness | None,
        field_option(
            CommonSettings,
            "fitness",
            more=" in all stages; if unset wse, and in QCQA's second stage, where a text is at "
            "hand, loss",
        ),
    ] = None,
    apart: Annotated[bool, field_option(CommonSettings, "apart")] = False,
    merge: Annotated[
        MergeName | None,
        field_option(
            CommonSettings,
            "merge",
            more="; mean if unset, for output-error, which is the error of svd, svd",
        ),
    ] = None,
    refit: Annotated[bool, field_option(CommonSettings, "refit")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            parser=user_path,
            metavar="PATH",
            help="Run directory; a new one among your runs by default.",
        ),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Title of the run.")] = None,
    two_stage: TwoStageOptions,
    exact: ExactOptions,
    bits: BitsOptions,
    seed: Annotated[int, field_option(CommonSettings, "seed")] = 0,
    workers: Annotated[int | None, field_option(CommonSettings, "workers")] = None,
    device: Annotated[
        str,
        typer.Option(
            "--device",
            help="Where the model reads its calibration text: auto, cpu, cuda, cuda:1 …; auto is "
            "CUDA where there is one.",
        ),
    ] = "auto",
    detach: Annotated[
        bool, typer.Option("--detach", help="Search in the background and return at once.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what the search takes, and do not start it."),
    ] = False,
    revision: RevisionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Search which heads of a model should share, and keep the fronts in a run directory.

    GQA, MQA, the source and the lower bound always come along. Ctrl-C cancels; `qcqa runs resume`
    goes on where it stopped.

    Examples
    --------
        qcqa search demo

        qcqa search ./Llama-2-7b-hf --method optimal --out runs/llama

        qcqa search ./opt-1.3b -m qcqa-ac --calibration text.txt --generations 300 --detach

        qcqa search ./opt-1.3b -m qcqa-ac-wse --population 200

        qcqa search ./SmolLM2-135M --reduce heads,bits --calibration text.txt

        qcqa search ./SmolLM2-135M --reduce heads,latents,head-dim,bits --calibration text.txt

        qcqa search ./SmolLM2-135M --reduce bits --bits-rotate --calibration text.txt

        qcqa search ./Llama-2-7b-hf --preset best --calibration text.txt --dry-run
    """
    has_text = calibration is not None or model == "demo"
    if method:
        methods = tuple(method)
    else:
        methods = usual_methods(has_text=fitness != "wse" if fitness else has_text)
    settings = SearchSettings(
        seed=seed,
        workers=workers,
        fitness=fitness or "wse",
        stage2_fitness=None if fitness else second_stage(methods, has_text=has_text),
        apart=apart,
        merge=merge or ("svd" if fitness == "output-error" else "mean"),
        refit=refit,
        two_stage=two_stage,
        exact=exact,
        bits=bits,
    )
    if preset:
        if method or fitness or apart or merge or refit:
            raise SettingsError(
                f"--preset {preset} with options that it decides",
                expected="none of --method, --fitness, --apart, --merge and --refit",
            )
        methods, settings = preset_named(preset).asked(settings, has_text=has_text)
    elif not reduce:
        options = {"fitness": fitness, "merge": merge, "apart": apart or None}
        refuse_unused(methods, options | {"refit": refit or None})
    if reduce:
        if method:
            raise SettingsError(
                f"--reduce {reduce} with --method",
                expected="one of them: a method says itself what it reduces",
            )
        methods = that_reduce(methods, reductions_named(reduce))
    # Refuse what cannot be searched before a run directory for it lies around.
    text = calibration_of(model, calibration, methods=with_baselines(methods), settings=settings)
    report = inspect_model(model, revision=revision)
    if text is not None:
        require_calibration(model, text, methods=methods, settings=settings, revision=revision)
    check = preflight(
        report, methods=methods, settings=settings, calibration=text, folder=out or runs_folder()
    )
    if dry_run:
        _print_preflight(check, as_json=as_json)
        return
    for warning in check.warnings:
        typer.echo(f"qcqa: {warning}", err=True)
    run = create_run(
        model=model,
        revision=revision,
        methods=methods,
        settings=settings,
        calibration=text,
        device=device,
        name=name,
        folder=out,
    )
    start_or_carry_out(run, detach=detach, as_json=as_json)


def _print_preflight(check: Preflight, *, as_json: bool) -> None:
    """Print what a search takes on this machine."""
    pace, timed_runs = machine_pace(run for run in list_runs() if isinstance(run, Run))
    time = check.time.on_this_machine(pace, timed_runs=timed_runs)
    if as_json:
        print_json(
            {
                **asdict(check.model),
                "memory_bytes": check.memory_bytes,
                "disk_bytes": check.disk_bytes,
                "seconds": {"low": time.low, "probable": time.seconds, "high": time.high},
                "seconds_by_part": {part.name: part.seconds for part in time.parts},
                "timed_runs": time.timed_runs,
                "warnings": check.warnings,
            }
        )
        return
    print_pairs(model_facts(check.model) | search_facts(check) | {"Time": time_text(time)})
    for warning in check.warnings:
        console.print(f"\n{warning}", style="bold")
