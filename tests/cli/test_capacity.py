"""``qcqa capacity``: of a run, of a model, and of a model that is not here any more."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from qcqa.plan.file import load_plan

Qcqa = Callable[..., Any]


def _num_parameters(folder: Path) -> int:
    total = 0
    for path in folder.glob("*.safetensors"):
        total += sum(tensor.size for tensor in load_file(path).values())
    return total


def test_run_and_its_model_have_the_same_source(
    qcqa: Qcqa, run_folder: Path, tiny_llama: Path
) -> None:
    options = ("--memory", 1, "--batch", 2, "--context", 100, "--budget", "50%", "--json")
    of_run = json.loads(qcqa("capacity", run_folder, *options).out)
    of_model = json.loads(qcqa("capacity", tiny_llama, *options).out)
    assert of_run["source"] == of_model["source"]
    assert of_run["num_parameters"] == _num_parameters(tiny_llama)
    assert of_run["plan"]["kv_ratio"] == of_model["plan"]["kv_ratio"] == 0.5
    assert of_run["plan"]["longest_context_tokens"] > 2 * of_run["source"]["longest_context_tokens"]
    assert of_run["most_tokens"] > 0


def test_plan_has_as_many_weights_as_the_converted_model(
    qcqa: Qcqa, run_folder: Path, tmp_path: Path
) -> None:
    options = ("--budget", 0.4, "-m", "optimal")
    told = json.loads(qcqa("capacity", run_folder, "--gpu", "l4", *options, "--json").out)
    assert qcqa("convert", "--run", run_folder, *options, "-o", tmp_path / "out").code == 0
    item_bytes = told["source"]["weight_bytes"] // told["num_parameters"]
    assert told["plan"]["weight_bytes"] == item_bytes * _num_parameters(tmp_path / "out")


def test_people_are_told_in_a_sentence(qcqa: Qcqa, run_folder: Path) -> None:
    called = qcqa("capacity", run_folder, "--gpu", "h200", "--batch", 8)
    assert called.out.startswith("On H200 141GB, batch 8: ")
    assert "largest batch" in called.out
    assert "MI300X" in qcqa("capacity", "--help").out


def test_model_that_is_gone_needs_its_parameters(
    qcqa: Qcqa, tiny_llama: Path, tmp_path: Path
) -> None:
    gone = tmp_path / "model"
    shutil.copytree(tiny_llama, gone)
    options = ("-m", "gqa", "--out", tmp_path / "run")
    assert qcqa("search", gone, *options).code == 0
    shutil.rmtree(gone)
    called = qcqa("capacity", tmp_path / "run", "--gpu", "h200")
    assert called.code == 2
    assert "not on this machine" in called.err
    given = ("--gpu", "h200", "--parameters", 7, "--json")
    told = json.loads(qcqa("capacity", tmp_path / "run", *given).out)
    assert told["num_parameters"] == 7_000_000_000
    # Another model in the same place is not taken for it.
    shutil.copytree(tiny_llama, gone)
    config = json.loads((gone / "config.json").read_text())
    assert qcqa("capacity", tmp_path / "run", "--gpu", "h200").code == 0
    (gone / "config.json").write_text(json.dumps(config | {"model_type": "mistral"}))
    assert qcqa("capacity", tmp_path / "run", "--gpu", "h200").code == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "no GPU"),
        (("--gpu", "h200", "--memory", 3), "both --gpu and --memory"),
        (("--gpu", "a100"), "several sizes"),
        (("--memory", -1), "GiB of memory"),
        (("--gpu", "l4", "--batch", 0), "batch_size = 0"),
        (("--gpu", "l4", "--budget", 2), "KV ratio 2"),
        (("--gpu", "l4", "--budget", 0.001), "a budget of 0.09766 % of the KV cache"),
        (("--gpu", "l4", "--weights-dtype", "int3"), "int3"),
        (("--gpu", "l4", "-m", "magic"), "magic"),
    ],
)
def test_mistakes_are_one_line(
    qcqa: Qcqa, run_folder: Path, options: tuple[object, ...], said: str
) -> None:
    called = qcqa("capacity", run_folder, *options)
    assert called.code == 2
    assert said in called.err
    assert called.err.count("\n") == 1


def test_plan_of_bits_is_counted_at_its_load(qcqa: Qcqa, tmp_path: Path) -> None:
    load = ("--context", 131072, "--dtype", "float8_e4m3fn")
    told = {
        method: json.loads(
            qcqa(
                "capacity", "demo", "--memory", 1, *load, "--budget", 0.9, "-m", method, "--json"
            ).out
        )
        for method in ("bits-4", "staircase")
    }
    # 4 bits and their scales beside 8; the staircase ends at 2.
    assert told["bits-4"]["plan"]["kv_ratio"] == pytest.approx(5 / 8, rel=1e-3)
    assert told["staircase"]["plan"]["kv_ratio"] == pytest.approx(3 / 8, rel=2e-2)
    for one in told.values():
        room, plan, source = one["plan"]["cache_bytes"], one["plan"], one["source"]
        assert plan["longest_context_tokens"] > 1.5 * source["longest_context_tokens"]
        assert plan["largest_batch"] >= source["largest_batch"] / plan["kv_ratio"] - 1
        gib = room / plan["largest_batch"] / 2**30
        out = tmp_path / "plan.json"
        code = qcqa("plan", "demo", "--budget-gib", gib, *load, "-m", "heads-bits", "-o", out).code
        assert code == 0
        assert load_plan(out).cache_bytes(131072, dtype="float8_e4m3fn") <= 1.0001 * gib * 2**30
