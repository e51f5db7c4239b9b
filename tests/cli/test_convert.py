"""``qcqa convert``: the whole way from a plan to a folder that opens."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import qcqa as library

Qcqa = Callable[..., Any]


def test_convert_writes_a_folder_whose_cache_is_as_promised(
    qcqa: Qcqa, run_folder: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    plan, folder = tmp_path / "plan.json", tmp_path / "converted"
    qcqa("plan", run_folder, "--budget", "0.5", "-o", plan)
    called = qcqa("convert", tiny_llama, "--plan", plan, "-o", folder, "--json")
    assert called.code == 0, called.err
    promised = json.loads(called.out)["kv_bytes_per_token"]
    model = library.load(folder)
    with torch.no_grad():
        cache = model(torch.zeros(1, 7, dtype=torch.long), use_cache=True).past_key_values
    stored = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    assert stored == 7 * promised


def test_convert_refuses_a_folder_that_holds_something(
    qcqa: Qcqa, run_folder: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.json"
    qcqa("plan", run_folder, "--budget", "0.5", "-o", plan)
    called = qcqa("convert", tiny_llama, "--plan", plan, "-o", tmp_path)
    assert called.code == 2
    assert "is not empty" in called.err
    assert plan.exists()


def test_convert_straight_from_a_run(qcqa: Qcqa, run_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "converted"
    called = qcqa("convert", "--run", run_folder, "--budget", "0.5", "-m", "gqa", "-o", folder)
    assert called.code == 0, called.err
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    assert (plan["method"], plan["kv_ratio"]) == ("gqa", 0.5)
    for wrong in (["--run", run_folder], ["--run", run_folder, "--plan", folder / "plan.json"], []):
        refused = qcqa("convert", *wrong, "-o", tmp_path / "other")
        assert refused.code == 2
        assert not (tmp_path / "other").exists()
