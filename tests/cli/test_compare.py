"""``qcqa compare``: at equal bytes, estimated and measured, for people and as JSON."""

import json
from collections.abc import Callable
from typing import Any

import pytest

Qcqa = Callable[..., Any]


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
    assert of_gqa["heldout/accuracy"]["against_gqa"] is None
    # Half of MQA's cache is none of GQA's business.
    assert rows["mqa"]["gqa"] == {
        "equal_bytes": False,
        "same_plan": False,
        "num_cached_heads": 48,
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
    _, _, measured = printed.partition("Measured, held-out stories: next-token accuracy")
    assert "against GQA" in measured
    assert "points" in measured
    assert "GQA = MQA" in measured
    assert "heldout" not in printed
    assert all(len(line) <= 80 for line in printed.splitlines())


def test_a_model_that_was_not_measured_has_estimates_alone(qcqa: Qcqa, tiny_llama: Any) -> None:
    called = qcqa("compare", tiny_llama, "--budgets", "0.5", "--generations", "3")
    assert called.code == 0, called.err
    assert "Nothing is measured: these are estimates." in called.out
