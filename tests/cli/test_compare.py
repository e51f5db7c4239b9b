"""``qcqa compare``: at equal bytes, estimated and measured, for people and as JSON."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qcqa.jobs.plans import plan_of_run
from qcqa.jobs.run import open_run
from qcqa.measure.benchmark import Benchmark
from qcqa.measure.evaluation import Evaluation
from qcqa.plan.plan import Measurement

Qcqa = Callable[..., Any]

#: Bits per token of one head of the demo model: 32 elements of 16 bits.
HEAD = 512


@pytest.fixture
def compared(qcqa: Qcqa) -> Callable[[str], dict[str, Any]]:
    def rows(budget: str) -> dict[str, Any]:
        called = qcqa("compare", "--run", "demo", "--budgets", budget, "--json")
        assert called.code == 0, called.err
        return {row["method"]: row for row in json.loads(called.out)}

    return rows


def test_measured_figures_come_with_paired_differences_at_equal_bytes(
    compared: Callable[[str], dict[str, Any]],
) -> None:
    rows = compared("0.5")
    assert rows["qcqa-ac"]["gqa"]["equal_bytes"] is True
    figures = {one["metric"]: one for one in rows["qcqa-ac"]["measured"]}
    of_gqa = {one["metric"]: one for one in rows["gqa"]["measured"]}
    one = figures["heldout/accuracy"]
    assert one["against_gqa"]["difference"] == pytest.approx(
        one["value"] - of_gqa["heldout/accuracy"]["value"]
    )
    assert one["against_source"]["standard_error"] > 0
    assert one["sample_count"] > 1000
    assert one["conditions"] == "at most 400 windows, held-out stories"
    assert of_gqa["heldout/accuracy"]["against_gqa"] is None
    # Half of MQA's cache is none of GQA's business.
    assert rows["mqa"]["gqa"] == {
        "equal_bytes": False,
        "same_plan": False,
        "kv_bits": 48 * HEAD,
        "wse_over_gqa": None,
    }
    assert all(one["against_gqa"] is None for one in rows["mqa"]["measured"])


def test_where_gqa_has_no_plan_of_the_size_nothing_is_compared(
    qcqa: Qcqa, compared: Callable[[str], dict[str, Any]]
) -> None:
    rows = compared("0.375")
    for method in ("optimal", "qcqa-ac", "best"):
        assert rows[method]["gqa"]["equal_bytes"] is False
        assert rows[method]["gqa"]["wse_over_gqa"] is None
        assert all(one["against_gqa"] is None for one in rows[method]["measured"])
    printed = qcqa("compare", "--run", "demo", "--budgets", "0.375").out
    lines = [line for line in printed.splitlines() if "Optimal" in line]
    assert len(lines) == 2
    assert all("no plan" in line for line in lines)
    assert "No plan: GQA has none of that size." in printed


def test_people_read_what_was_measured_and_no_raw_names(qcqa: Qcqa) -> None:
    printed = qcqa("compare", "--run", "demo", "--budgets", "0.5,0.125").out
    _, _, measured = printed.partition("Measured: Next-token accuracy\n")
    assert measured.startswith("at most 400 windows, held-out stories\n")
    assert "against GQA" in measured
    assert "points" in measured
    assert "GQA = MQA" in measured
    assert "heldout" not in printed
    assert all(len(line) <= 80 for line in printed.splitlines())


def test_people_read_which_figures_came_through_a_quantized_cache(
    qcqa: Qcqa, demo_run: Path
) -> None:
    run = open_run(demo_run)
    run.measured_folder.make()
    plan = plan_of_run(run, 48 * HEAD, method="gqa")
    figures = (Measurement("heldout/accuracy", 0.6, 0.04, 5000),)
    for piece_tokens in (None, 16):
        row = Evaluation.of_plan(
            plan, Benchmark("demo"), figures, device="cpu", dtype="auto", piece_tokens=piece_tokens
        )
        run.measured_folder.save("row", row)
        for command in (("compare", "--run", demo_run), ("runs", "show", demo_run)):
            said = "models read 16 tokens at a time" in qcqa(*command).out
            assert said == (piece_tokens is not None)


@pytest.mark.parametrize(("count", "is_small"), [(150, True), (15_000, False)])
def test_a_few_tokens_and_smaller_plans_are_said_to_be_such(
    qcqa: Qcqa, demo_run: Path, count: int, is_small: bool
) -> None:
    run = open_run(demo_run)
    run.measured_folder.make()
    how = Benchmark("t.txt", window_tokens=64)
    names = ("t/nll", "t/accuracy")
    figures = tuple(Measurement(name, 0.6, 0.04, count) for name in names)
    for method in ("gqa", "optimal"):
        plan = plan_of_run(run, 72 * HEAD, method=method)
        row = Evaluation.of_plan(plan, how, figures, device="cuda", dtype="float16")
        run.measured_folder.save(method, row)
    printed = qcqa("compare", "--run", demo_run, "--budgets", "0.75").out
    _, _, measured = printed.partition("Measured: Next-token accuracy")
    title, conditions, *lines = measured.splitlines()
    assert title == (" (small sample)" if is_small else "")
    assert conditions == "whole text, t.txt, windows of 64 tokens, float16, cuda"
    assert "KV ratio" in measured
    # GQA's largest within the budget caches half.
    assert [line for line in lines if "GQA" in line and "0.500" in line and "60.0 %" in line]
    assert [line for line in lines if "Optimal" in line and "0.750" in line]


def test_a_model_that_was_not_measured_has_estimates_alone(qcqa: Qcqa, tiny_llama: Any) -> None:
    called = qcqa("compare", tiny_llama, "--budgets", "0.5", "--generations", "3")
    assert called.code == 0, called.err
    assert "Nothing is measured: these are estimates." in called.out
