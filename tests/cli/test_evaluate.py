"""``qcqa evaluate``: measured figures of a run's plans beside their source, kept in the run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qcqa.plan_file import load_plan

Qcqa = Callable[..., Any]
TEXT = ("--text", "demo", "--limit", 3)


@pytest.fixture
def demo_run(qcqa: Qcqa, tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    assert qcqa("search", "demo", "-m", "optimal", "-o", folder).code == 0
    return folder


def test_a_runs_methods_are_measured_beside_the_source_and_only_once(
    qcqa: Qcqa, demo_run: Path
) -> None:
    first = qcqa("evaluate", "--run", demo_run, "--budgets", "0.5", *TEXT, "--json")
    assert first.code == 0, first.err
    rows = json.loads(first.out)
    assert rows[0]["method"] == "mha"
    assert {row["method"] for row in rows} == {"mha", "gqa", "mqa", "optimal"}
    loss = {
        row["method"]: figure["value"]
        for row in rows
        for figure in row["measured"]
        if figure["metric"] == "heldout/nll"
    }
    assert loss["mha"] < loss["gqa"] < loss["mqa"]
    kept = sorted((demo_run / "measured").iterdir())
    assert len([path for path in kept if path.suffix == ".json"]) == 4
    before = [path.stat().st_mtime_ns for path in kept]
    again = qcqa("evaluate", "--run", demo_run, "--budgets", "0.5", *TEXT, "--json")
    assert json.loads(again.out) == rows
    assert [path.stat().st_mtime_ns for path in kept] == before


def test_a_plans_figures_are_written_into_it(qcqa: Qcqa, demo_run: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    qcqa("plan", demo_run, "--budget", "0.75", "-o", plan)
    called = qcqa("evaluate", "demo", "--plan", plan, *TEXT)
    assert called.code == 0, called.err
    figures = {figure.metric: figure for figure in load_plan(plan).measured}
    assert figures["heldout/nll_difference"].value > 0
    assert figures["heldout/accuracy"].sample_count


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("demo",), "nothing to measure; expected a text, at least one task, or"),
        (("--text", "demo"), "neither a model nor a run"),
        (("demo", "--text", "./nowhere.txt"), "nowhere.txt cannot be read"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    qcqa: Qcqa, arguments: tuple[str, ...], message: str
) -> None:
    called = qcqa("evaluate", *arguments)
    assert called.code == 2
    assert message in called.err
