"""``qcqa runs forget``: which figures and which models are meant."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qcqa.jobs.plans import plan_of_run
from qcqa.jobs.run import Run, open_run
from qcqa.measure.benchmark import Benchmark
from qcqa.measure.evaluation import Evaluation
from qcqa.plan.plan import Measurement

Qcqa = Callable[..., Any]
#: Bits per token of one head of the demo model: 32 elements of 16 bits.
HEAD = 512
HOW = Benchmark("/texts/piqa.txt", ("piqa",))
FIGURES = (Measurement("piqa/accuracy", 0.5), Measurement("piqa/acc", 0.75))


@pytest.fixture
def run(demo_run: Path) -> Run:
    """Return a run of a model with 96 heads."""
    run = open_run(demo_run)
    run.measured_folder.make()
    return run


def _measure(run: Run, *sizes: int) -> None:
    row = Evaluation.of_plan(
        plan_of_run(run, 48 * HEAD, method="optimal"), HOW, FIGURES, device="cpu", dtype="auto"
    )
    for heads in sizes:
        told: dict[str, Any] = {
            "kv_bits": heads * HEAD,
            "kv_ratio": heads / 96,
            "plan_digest": str(heads),
        }
        run.measured_folder.save(str(heads), replace(row, **told))


def _sizes_with_the_text(run: Run) -> set[int]:
    return {row.kv_bits // HEAD for row in run.measured() if row.figure("piqa/accuracy")}


@pytest.mark.parametrize(
    ("sizes", "budget", "left"),
    [
        ((32, 48), "33.3%", {48}),
        ((32, 48), "0.333", {48}),
        ((32, 48), "33.34%", {48}),
        # Everywhere else such a budget is that of 31 heads.
        ((31, 32, 48), "33.3%", {32, 48}),
        ((31, 32, 48), "33%", {32, 48}),
        ((31, 48), "0.5", {31}),
    ],
)
def test_a_budget_means_the_plans_that_it_holds_or_that_tables_show_so(
    qcqa: Qcqa, run: Run, sizes: tuple[int, ...], budget: str, left: set[int]
) -> None:
    _measure(run, *sizes)
    called = qcqa("runs", "forget", run.folder, "--text", "piqa", "--budget", budget, "--yes")
    assert called.code == 0, called.err
    assert _sizes_with_the_text(run) == left


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        (("--budget", "75%"), "at 75%; expected 33.33%, 50%"),
        (("-m", "optimal", "--budget", "10%"), "at 10%; expected 33.33%, 50%"),
        (("-m", "gqa"), "of gqa; expected optimal"),
    ],
)
def test_where_no_model_is_meant_nobody_is_asked(
    qcqa: Qcqa, run: Run, named: tuple[str, ...], expected: str
) -> None:
    _measure(run, 32, 48)
    called = qcqa("runs", "forget", run.folder, "--text", "piqa", *named)
    assert called.code == 2
    assert "Delete" not in called.out
    assert called.err == f"qcqa: nothing was measured like that {expected}\n"
    assert _sizes_with_the_text(run) == {32, 48}


@pytest.mark.parametrize(
    ("named", "left"),
    [
        (("--text", "piqa"), "piqa/acc"),
        (("--text", "/texts/piqa.txt"), "piqa/acc"),
        (("--metric", "piqa/accuracy"), "piqa/acc"),
        (("--metric", "piqa"), "piqa/accuracy"),
        (("--metric", "piqa/acc"), "piqa/accuracy"),
    ],
)
def test_a_text_and_a_task_of_one_name_go_by_themselves(
    qcqa: Qcqa, run: Run, named: tuple[str, ...], left: str
) -> None:
    _measure(run, 48)
    called = qcqa("runs", "forget", run.folder, *named, "--yes", "--json")
    assert json.loads(called.out)["deleted"] == 1
    (row,) = run.measured()
    assert [figure.metric for figure in row.measured] == [left]
    assert row.benchmark == (
        Benchmark(tasks=("piqa",)) if left == "piqa/acc" else Benchmark("/texts/piqa.txt")
    )
