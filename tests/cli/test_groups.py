"""``qcqa groups``: who shares with whom, at what cost, and where another plan differs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Qcqa = Callable[..., Any]


def test_groups_of_every_layer(qcqa: Qcqa, run_folder: Path) -> None:
    arguments = ("groups", run_folder, "--budget", "0.5", "-m", "optimal")
    told = json.loads(qcqa(*arguments, "--json").out)
    assert [layer["layer"] for layer in told["layers"]] == [0, 1, 2, 3]
    for layer in told["layers"]:
        assert sorted(head for group in layer["key"] for head in group) == list(range(12))
    assert sum(layer["error"] for layer in told["layers"]) == pytest.approx(told["relative_wse"])
    shown = qcqa(*arguments).out
    assert "heads in one bracket share" in shown
    assert "relative WSE" in shown


def test_costs_of_one_layer(qcqa: Qcqa, run_folder: Path) -> None:
    arguments = ("groups", run_folder, "--budget", "0.5", "-m", "optimal", "--layer", 2)
    told = json.loads(qcqa(*arguments, "--json").out)
    (layer,), (cost,) = told["layers"], told["costs"]
    assert [group["heads"] for group in cost["groups"]] == layer["key"]
    assert sum(group["wse"] for group in cost["groups"]) == pytest.approx(cost["wse"])
    assert cost["lower_bound"] <= cost["wse"] <= cost["neighbours_wse"]
    assert "neighbours" in qcqa(*arguments).out


def test_one_layer_says_what_its_wse_is(qcqa: Qcqa) -> None:
    def shown(method: str) -> str:
        out: str = qcqa("groups", "demo", "--budget", "0.5", "-m", method, "--layer", 2).out
        return " ".join(out.split())

    assert shown("optimal").endswith("loses of the weights. It is no accuracy.")
    assert shown("best").endswith(
        "merge is another (subspaces, refitted on calibration text): WSE is not what it loses."
    )


def test_differences_from_another_method(qcqa: Qcqa, run_folder: Path) -> None:
    arguments = ("groups", run_folder, "--budget", "0.5", "-m", "optimal", "--against", "gqa")
    told = json.loads(qcqa(*arguments, "--json").out)
    assert told["differences"]["against"] == "gqa"
    total = sum(len(layer["key"]) for layer in told["differences"]["layers"])
    assert 0 < total <= 48
    assert f"{total} of 48 heads share with other heads" in qcqa(*arguments).out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--layer", "4"), "layer 4; expected 0 to 3"),
        (("--layer", "-1"), "layer -1; expected 0 to 3"),
        (("--against", "magic"), "method 'magic'; expected one that was searched"),
        (("--method", "mha"), "expected at least 100 %"),
    ],
)
def test_a_users_error_is_one_line(
    qcqa: Qcqa, run_folder: Path, arguments: tuple[str, ...], message: str
) -> None:
    called = qcqa("groups", run_folder, "--budget", "0.5", *arguments)
    assert called.code == 2
    assert message in called.err
    assert called.err.count("\n") == 1
