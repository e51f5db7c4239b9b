"""Measured figures as tables."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from qcqa.charts.common.palette import method_style
from qcqa.charts.quality.measurements import pieces_text, prompt_text
from qcqa.charts.quality.series import data_title
from qcqa.cli.output import console, print_table
from qcqa.measure.benchmark import Benchmark
from qcqa.measure.evaluation import Evaluation
from qcqa.plan.metric import DIFFERENCE, data_label, data_of, metric_of, text_label
from qcqa.plan.plan import Measurement


def print_measured(rows: Sequence[Evaluation]) -> None:
    """Print a table for each text, task and load, a model per line.

    Differences from the source are for programs: the source stands in the first line. Rows of
    different benchmarks stand apart.
    """
    if not rows:
        console.print("Nothing is measured yet.")
    benchmarks: dict[str, list[Evaluation]] = {}
    for row in rows:
        asked = f"{description(row.benchmark)}; on {row.device}, dtype {row.dtype}"
        benchmarks.setdefault(asked, []).append(row)
    for asked, measured in benchmarks.items():
        if len(benchmarks) > 1:
            console.rule(asked, align="left")
        _print_benchmark(measured)


def row_json(row: Evaluation) -> dict[str, Any]:
    """Return a row's figures as a JSON value; its sums over samples are for comparisons."""
    content = asdict(row)
    del content["samples"]
    return content


def description(benchmark: Benchmark) -> str:
    """Return what a benchmark measures, for people."""
    parts = [
        benchmark.text and f"text: {text_label(benchmark.text)}",
        benchmark.tasks and f"tasks: {', '.join(map(_task_label, benchmark.tasks))}",
        benchmark.limit and f"at most {benchmark.limit} {_counted(benchmark)}",
        benchmark.window_tokens and f"windows of {benchmark.window_tokens} tokens",
        benchmark.speed and benchmark.speed.data,
    ]
    return "; ".join(part for part in parts if part)


def _task_label(task: str) -> str:
    is_file = task.endswith((".yaml", ".yml"))
    return data_label(Path(task).name if is_file else task, is_file=is_file)


def _counted(benchmark: Benchmark) -> str:
    parts = [benchmark.text and benchmark.limit_of, benchmark.tasks and "questions per task"]
    return " and ".join(part for part in parts if part) or "samples"


def _print_benchmark(rows: Sequence[Evaluation]) -> None:
    names = [
        name
        for name in dict.fromkeys(figure.metric for row in rows for figure in row.measured)
        if not name.endswith((DIFFERENCE, "_ratio"))
    ]
    for data in dict.fromkeys(map(data_of, names)):
        of_data = [name for name in names if data_of(name) == data]
        title = data_title(of_data[0]) or "measured KV cache"
        console.print(f"\n{title}", style="bold", highlight=False)
        print_table([_shown(row, of_data) for row in rows])
    notes = [pieces_text(rows)]
    if "cache_bytes_per_token" in names:
        notes.append(prompt_text(rows))
    for note in filter(None, notes):
        console.print(note, style="dim")


def _shown(row: Evaluation, names: Sequence[str]) -> dict[str, str]:
    cells = {"method": method_style(row.method).label, "KV\nratio": f"{row.kv_ratio:.3f}"}
    for name in names:
        metric = metric_of(name)
        cells[metric.heading] = _figure(row.figure(name), is_whole=metric.unit == "bytes")
    return cells


def _figure(figure: Measurement | None, *, is_whole: bool) -> str:
    if figure is None:
        return "—"
    error = f" ±{figure.standard_error:.2g}" if figure.standard_error else ""
    return f"{figure.value:,.0f}" if is_whole else f"{figure.value:.4g}{error}"
