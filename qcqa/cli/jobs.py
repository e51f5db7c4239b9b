"""Working on a run from the command line, here or in the background."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from qcqa.charts.jobs.preflight import measure_facts, memory_warning
from qcqa.cli.generated import TextPrinter, texts_json
from qcqa.cli.layers import print_layers
from qcqa.cli.measured import print_measured, row_json
from qcqa.cli.output import console, print_json, print_pairs, progress_bar
from qcqa.cli.summary import print_result, result_json
from qcqa.conversion.converted import Converted
from qcqa.errors import RunError
from qcqa.jobs.config import (
    ConversionConfig,
    EvaluationConfig,
    GenerationConfig,
    SearchConfig,
    SensitivityConfig,
)
from qcqa.jobs.conversions import converted_of
from qcqa.jobs.evaluations import figures_of
from qcqa.jobs.generations import texts_of_generation
from qcqa.jobs.launch import start_worker
from qcqa.jobs.run import Run
from qcqa.jobs.sensitivities import found_of
from qcqa.jobs.store import find_run
from qcqa.jobs.worker import Cancelled, work
from qcqa.measure.estimate import MeasureEstimate
from qcqa.sizes import bytes_text

RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="Run directory, its id, or the beginning of its id.", show_default=False
    ),
]


def start_or_carry_out(run: Run, *, detach: bool, as_json: bool) -> None:
    """Start a queued run's worker in the background, or be the worker."""
    if not detach:
        carry_out(run, as_json=as_json)
        return
    start_worker(run)
    if as_json:
        print_json({"run": run.id, "folder": str(run.folder)})
    else:
        console.print(f"Started {run.id}. Watch it with: qcqa runs show {name_of(run)}")


def print_estimate(estimate: MeasureEstimate, *, as_json: bool) -> None:
    """Print what a job will take, and warn where memory is too small."""
    warning = memory_warning(estimate)
    if as_json:
        seconds = {"low": estimate.low, "high": estimate.high}
        print_json({**asdict(estimate), "seconds": seconds, "warning": warning})
        return
    print_pairs(measure_facts(estimate))
    if warning:
        console.print(warning, markup=False)


def name_of(run: Run) -> str:
    """Return what other commands find a run by: its id, or its folder where that is elsewhere."""
    try:
        found = find_run(run.id).folder.resolve() == run.folder.resolve()
    except RunError:
        found = False
    return run.id if found else str(run.folder)


def carry_out(run: Run, *, as_json: bool) -> None:
    """Work on a run in this process with its progress on the terminal; print what came out."""
    work_through(run, as_json=as_json)
    print_outcome(run, as_json=as_json)


def print_outcome(run: Run, *, as_json: bool) -> None:
    """Print what came of a finished run."""
    if as_json:
        print_json(_outcome_json(run))
    else:
        _print_outcome(run)


def work_through(run: Run, *, as_json: bool) -> None:
    """Work on a run in this process with its progress on the terminal."""
    try:
        if isinstance(run.config, GenerationConfig) and not as_json:
            work(run, on_progress=TextPrinter())
        else:
            with progress_bar() as show:
                work(run, on_progress=show)
    except Cancelled:
        typer.echo(f"Cancelled. Go on with: qcqa runs resume {name_of(run)}", err=True)
        raise typer.Exit(130) from None


def _outcome_json(run: Run) -> Any:
    """Return what came of a finished run, as a JSON value."""
    match run.config:
        case SearchConfig():
            return {"run": run.id, "folder": str(run.folder), **result_json(run.result())}
        case EvaluationConfig():
            return [row_json(row) for row in figures_of(run)]
        case ConversionConfig():
            return asdict(converted_of(run))
        case GenerationConfig():
            return texts_json(texts_of_generation(run))
        case SensitivityConfig():
            return asdict(found_of(run))


def _print_outcome(run: Run) -> None:
    match run.config:
        case SearchConfig():
            print_result(run.result())
            console.print(f"\nRun {run.id} in {run.folder}")
            command = f"qcqa plan {run.folder} --budget 50% -o plan.json"
            console.print(f"Make a plan of it with: {command}")
        case EvaluationConfig():
            print_measured(figures_of(run))
            console.print(f"\nEvaluation {run.id} in {run.folder}")
        case ConversionConfig():
            print_pairs(conversion_pairs(converted_of(run)))
        case GenerationConfig():
            # Its texts were printed as they came.
            console.print(f"Generation {run.id} in {run.folder}")
        case SensitivityConfig():
            print_layers(found_of(run))
            console.print(f"\nMeasurement {run.id} in {run.folder}")


def conversion_pairs(converted: Converted) -> dict[str, str]:
    """Return what came of a conversion, as names and values."""
    measured, promised = converted.measured_bytes_per_token, converted.promised_bytes_per_token
    held = "not measured: too little memory to open it" if measured is None else f"{measured:g}"
    return {
        "checkpoint": converted.folder,
        "weights": f"{bytes_text(converted.weight_bytes)}, "
        f"source {bytes_text(converted.source_bytes)}",
        "KV bytes per token": f"{held}; promised {promised:g}",
    }
