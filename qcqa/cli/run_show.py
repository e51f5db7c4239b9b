"""``qcqa runs show``: what a run was asked for, how far it is, and what came of it."""

from dataclasses import asdict
from typing import Any

from qcqa.cli.generated import print_texts, texts_json
from qcqa.cli.jobs import RunArgument, conversion_pairs, name_of
from qcqa.cli.layers import print_layers
from qcqa.cli.measured import description, print_measured, row_json
from qcqa.cli.output import JsonOption, console, print_json, print_pairs, print_table
from qcqa.cli.run_rows import row_text, run_row
from qcqa.cli.summary import print_result, result_json
from qcqa.jobs import store
from qcqa.jobs.config import (
    JOB_FOLDERS,
    ConversionConfig,
    EvaluationConfig,
    GenerationConfig,
    SearchConfig,
    SensitivityConfig,
)
from qcqa.jobs.conversions import converted_of
from qcqa.jobs.evaluations import figures_of
from qcqa.jobs.generations import texts_of_generation
from qcqa.jobs.jobs import jobs_of, search_of
from qcqa.jobs.run import Run
from qcqa.jobs.sensitivities import found_of
from qcqa.pick.points import Points
from qcqa.plan.budget import bits_of_point
from qcqa.search.result import ResultFolder


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
        case SensitivityConfig():
            _show_sensitivity(found, found.config, as_json=as_json)


def _show_search(run: Run, config: SearchConfig, *, as_json: bool) -> None:
    result = run.result() if ResultFolder(run.folder).has_result else None
    measured, jobs = run.measured(), jobs_of(run)
    if as_json:
        print_json(
            {
                **_with_details(run),
                "result": result_json(result) if result else None,
                "measured": [row_json(row) for row in measured],
                **{
                    folder: [run_row(job, of=run) for job in jobs if job.config.kind == kind]
                    for kind, folder in JOB_FOLDERS.items()
                },
            }
        )
        return
    about = {"methods": ", ".join(config.methods), "seed": str(config.settings.seed)}
    _print_state(run, {"model": config.model, **about})
    if result:
        print_result(result, measured)
    if jobs:
        print_table([row_text(run_row(job, of=run)) for job in jobs])
    if measured:
        print_measured(measured)


def _show_evaluation(run: Run, config: EvaluationConfig, *, as_json: bool) -> None:
    rows = figures_of(run)
    search = search_of(run)
    if as_json:
        measured = [row_json(row) for row in rows]
        print_json({**_with_details(run, of=search), "measured": measured})
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
        print_json({**_with_details(run, of=search), "converted": came})
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
        print_json({**_with_details(run, of=search), "texts": texts_json(texts)})
        return
    about = {
        "model": search.search.model,
        "methods, budgets": _points_text(config.points, search),
        "on": f"{config.device}, dtype {config.dtype}",
    }
    _print_state(run, about)
    print_texts(config.settings.prompt, texts)


def _show_sensitivity(run: Run, config: SensitivityConfig, *, as_json: bool) -> None:
    search = search_of(run)
    layers = found_of(run) if run.status().state == "finished" else None
    if as_json:
        came = asdict(layers) if layers else None
        print_json({**_with_details(run, of=search), "sensitivity": came})
        return
    about = {
        "model": search.search.model,
        "method, budget": _points_text((config.point,), search),
        "text": config.settings.text,
        "on": f"{config.device}, dtype {config.dtype}",
    }
    _print_state(run, about)
    if layers:
        print_layers(layers)


def _points_text(points: Points, search: Run) -> str:
    """Return the plans of a job by their methods and budgets, as KV ratios."""
    spec = search.result().spec
    return ", ".join(
        f"{method} {bits_of_point(spec, bits) / spec.kv_bits:.3g}" for method, bits in points
    )


def _print_state(run: Run, about: dict[str, str]) -> None:
    status = run.status()
    pairs = {"run": run.id, "name": run.name, "folder": str(run.folder), **about}
    if run.note:
        pairs["note"] = run.note
    pairs["state"] = status.state
    if status.state == "running":
        pairs["progress"] = (
            f"{100 * status.fraction:.0f} % — {status.stage} {status.step}/{status.total}"
        )
    if status.error:
        pairs["error"] = status.error
    print_pairs(pairs)
    if status.state != "finished" and not run.is_at_work() and not run.bundled:
        console.print(f"Go on with: qcqa runs resume {name_of(run)}")


def _with_details(run: Run, *, of: Run | None = None) -> dict[str, Any]:
    return {
        **run_row(run, of=of),
        "config": run.config.model_dump(mode="json"),
        "status": run.status().model_dump(mode="json"),
    }
