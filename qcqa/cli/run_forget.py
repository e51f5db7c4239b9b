"""``qcqa runs forget``: be rid of a measurement, and of nothing else."""

from typing import Annotated

import typer

from qcqa.charts.common.wording import counted
from qcqa.cli.budget_options import parse_ratio
from qcqa.cli.jobs import RunArgument
from qcqa.cli.measured import description
from qcqa.cli.output import JsonOption, console, print_json
from qcqa.errors import EvaluationError
from qcqa.jobs import measurements, store
from qcqa.jobs.measurements import Measured, Model
from qcqa.jobs.run import Run
from qcqa.measure.evaluation import Evaluation
from qcqa.plan.budget import bits_within_ratio
from qcqa.plan.metric import data_of


def forget(
    run: RunArgument,
    text: Annotated[
        str | None,
        typer.Option("--text", metavar="FILE", help="What was measured on this text."),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric", help="What this figure, or this task, was measured with: heldout/accuracy."
        ),
    ] = None,
    speed: Annotated[bool, typer.Option("--speed", help="Speed and memory.")] = False,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Only what was measured with this limit.")
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option("--method", "-m", help="Only this method's models; may be repeated."),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option("--budget", help="Only models of this share of the source's KV cache."),
    ] = None,
    restore: Annotated[
        bool, typer.Option("--restore", help="Show again what is hidden of the included run.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete measurements of a search, whole or of some models; all else stays.

    What came with the package is hidden instead, and --restore shows it again. Refused while an
    evaluation of the search is at work.

    Examples
    --------
        qcqa runs forget 20260131 --text notes.txt

        qcqa runs forget demo --metric heldout/accuracy -m gqa --yes
    """
    found = store.find_run(run)
    if restore:
        shown = found.measured_folder.show_hidden()
        _tell(
            as_json,
            {"run": found.id, "shown_again": shown},
            f"Figures of {counted(shown, 'model')} are shown again.",
        )
        return
    if text is None and metric is None and not speed:
        raise EvaluationError(
            "no measurement is named",
            expected="--text, --metric or --speed",
            remedy=f"qcqa runs show {run} lists what is measured",
        )
    every = measurements.measurements_of(found)
    is_task = any(measurement.part == f"task {metric}" for measurement in every)
    going = [
        measurement
        for measurement in every
        if _is_named(measurement, text, metric, is_speed=speed, is_task=is_task)
        and limit in (None, measurement.benchmark.limit)
    ]
    if not going:
        raise EvaluationError(
            "nothing was measured like that", remedy=f"qcqa runs show {run} lists what is measured"
        )
    models = _models(found, going, method, budget)
    measurements.require_nothing_at_work(found)
    if not yes:
        for measurement in going:
            rows = [row for row in measurement.rows if (row.method, row.kv_bits) in models]
            console.print(f"{description(measurement.benchmark)}: {counted(len(rows), 'model')}")
        typer.confirm("Delete these measurements?", abort=True)
    done = measurements.forget(found, going, models=models)
    said = [f"Deleted figures of {counted(done.deleted, 'model')}."] if done.deleted else []
    if done.hidden:
        hidden = counted(done.hidden, "model")
        said.append(f"Hid figures of {hidden} of the included run; --restore shows them again.")
    answer = {"run": found.id, "deleted": done.deleted, "hidden": done.hidden}
    _tell(as_json, answer, " ".join(said))


def _is_named(
    measurement: Measured, text: str | None, metric: str | None, *, is_speed: bool, is_task: bool
) -> bool:
    if measurement.part == "speed" and is_speed:
        return True
    if measurement.part == "text" and text is not None and measurement.benchmark.is_of_text(text):
        return True
    # The file of a text may bear the name of the task that is meant.
    may_name_data = measurement.part != "text" or not is_task
    return any(
        metric == name or (may_name_data and metric == data_of(name))
        for name in measurement.metrics
    )


def _models(
    run: Run, going: list[Measured], methods: list[str] | None, budget: str | None
) -> set[Model]:
    """Return the models that are meant; all by default.

    Raises
    ------
    EvaluationError
        If none of what was measured is meant.
    """
    rows = [row for measurement in going for row in measurement.rows]
    matches = [row for row in rows if not methods or row.method in methods]
    if not matches:
        raise EvaluationError(
            f"nothing was measured like that of {', '.join(methods or ())}",
            expected=", ".join(dict.fromkeys(row.method for row in rows)),
        )
    if budget is not None:
        matches = _of_size(run, matches, budget)
    return {(row.method, row.kv_bits) for row in matches}


def _of_size(run: Run, rows: list[Evaluation], budget: str) -> list[Evaluation]:
    ratio = parse_ratio(budget)
    spec = run.result().spec
    kv_bits = bits_within_ratio(spec, ratio)
    # A budget is that of the plans into which it has not room for one more head.
    matches = [row for row in rows if 0 <= kv_bits - row.kv_bits < spec.head_bits]
    # Or a share as tables show it, which may be rounded below a head: 33.3 % of a third.
    matches = matches or [row for row in rows if f"{row.kv_ratio:.3f}" == f"{ratio:.3f}"]
    if not matches:
        sizes = sorted({row.kv_ratio for row in rows})
        raise EvaluationError(
            f"nothing was measured like that at {budget}",
            expected=", ".join(f"{100 * size:.4g}%" for size in sizes),
        )
    return matches


def _tell(as_json: bool, content: dict[str, object], sentence: str) -> None:
    if as_json:
        print_json(content)
    else:
        console.print(sentence)
