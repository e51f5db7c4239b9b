"""``qcqa convert``: the whole way from a plan to a folder that opens."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import qcqa as library
from qcqa.jobs.conversions import create_conversion
from qcqa.jobs.run import open_run
from qcqa.jobs.status import LIVE_STATES, RunStatus
from qcqa.text.running import cache_of

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
        cache = cache_of(model(torch.zeros(1, 7, dtype=torch.long), use_cache=True))
    stored = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    assert stored == 7 * promised


def test_convert_refuses_a_folder_that_holds_something(
    qcqa: Qcqa, run_folder: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.json"
    qcqa("plan", run_folder, "--budget", "0.5", "-o", plan)
    called = qcqa("convert", tiny_llama, "--plan", plan, "-o", tmp_path)
    assert called.code == 2
    assert called.err.startswith(f"qcqa: {tmp_path} is not empty")
    assert called.err.count("\n") == 1
    assert plan.exists()


def test_convert_straight_from_a_run(qcqa: Qcqa, run_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "converted"
    # Quoted, as file managers copy paths.
    out = f'"{folder}"'
    called = qcqa("convert", "--run", run_folder, "--budget", "0.5", "-m", "gqa", "-o", out)
    assert called.code == 0, called.err
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    assert (plan["method"], plan["kv_ratio"]) == ("gqa", 0.5)
    for wrong in (["--run", run_folder], ["--run", run_folder, "--plan", folder / "plan.json"], []):
        refused = qcqa("convert", *wrong, "-o", tmp_path / "other")
        assert refused.code == 2
        assert not (tmp_path / "other").exists()


def test_convert_in_the_background_is_a_job_of_the_run(
    qcqa: Qcqa, run_folder: Path, tmp_path: Path
) -> None:
    run, folder = tmp_path / "run", tmp_path / "converted"
    shutil.copytree(run_folder, run)
    asked = ("convert", "--run", run, "--budget", "0.5", "-m", "gqa", "-o", folder, "--detach")
    # In a process of its own: it ends at once, and leaves the worker to itself.
    command = [sys.executable, "-m", "qcqa", *map(str, asked), "--json"]
    started = subprocess.run(command, capture_output=True, text=True, check=True)
    job = json.loads(started.stdout)["folder"]
    deadline = time.monotonic() + 120
    while (state := open_run(Path(job)).status().state) in LIVE_STATES:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert state == "finished"

    shown = json.loads(qcqa("runs", "show", job, "--json").out)
    came = shown["converted"]
    assert (shown["kind"], shown["state"]) == ("conversion", "finished")
    assert came["folder"] == str(folder)
    promised = came["promised_bytes_per_token"]
    assert came["measured_bytes_per_token"] == promised
    assert promised == json.loads((folder / "plan.json").read_text())["kv_bytes_per_token"]
    assert f"{promised:g}" in qcqa("runs", "show", job).out
    of_search = json.loads(qcqa("runs", "show", run, "--json").out)
    assert [one["run"] for one in of_search["conversions"]] == [shown["run"]]
    assert of_search["evaluations"] == []
    assert qcqa("runs", "resume", job).code == 2
    assert qcqa("runs", "delete", job, "--yes").code == 0
    assert (folder / "model.safetensors").exists()

    refused = qcqa(*asked)
    assert refused.code == 2
    assert "is not empty" in refused.err


def test_a_cancelled_conversion_is_resumed_on_the_command_line(
    qcqa: Qcqa, run_folder: Path, tmp_path: Path
) -> None:
    run, folder = tmp_path / "run", tmp_path / "converted"
    shutil.copytree(run_folder, run)
    search = open_run(run)
    half = search.result().spec.kv_bits // 2
    conversion = create_conversion(search, point=("gqa", half), folder=folder)
    conversion.write_status(RunStatus(state="cancelled"))
    called = qcqa("runs", "resume", conversion.folder, "--json")
    assert called.code == 0, called.err
    assert json.loads(called.out)["folder"] == str(folder)
    assert library.load(folder).config.qcqa


def test_detach_wants_a_run_alone(
    qcqa: Qcqa, run_folder: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    of_run = ("--run", run_folder, "--budget", "0.5")
    for wrong in (
        (tiny_llama, "--plan", "plan.json"),
        (tiny_llama, *of_run),
        (*of_run, "--calibration", "demo"),
        (*of_run, "--with-source-code"),
        ("--run", run_folder),
    ):
        refused = qcqa("convert", *wrong, "--detach", "-o", tmp_path / "out")
        assert refused.code == 2
        assert refused.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_code_of_the_source_comes_along_when_asked_for(
    qcqa: Qcqa, run_folder: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    source, plan = tmp_path / "source", tmp_path / "plan.json"
    shutil.copytree(tiny_llama, source)
    entry = {"auto_map": {"AutoTokenizer": ["tok_odd.Tok", None]}}
    (source / "tokenizer_config.json").write_text(json.dumps(entry))
    (source / "tok_odd.py").write_text("class Tok: pass")
    qcqa("plan", run_folder, "--budget", "0.5", "-o", plan)

    asked = ("convert", source, "--plan", plan)
    plain = qcqa(*asked, "-o", tmp_path / "plain")
    assert plain.code == 0, plain.err
    [line] = [line for line in plain.out.splitlines() if line.startswith("Left out: ")]
    assert "tok_odd.Tok in tokenizer_config.json" in line
    assert not (tmp_path / "plain" / "tok_odd.py").exists()

    called = qcqa(*asked, "-o", tmp_path / "with", "--with-source-code", "--json")
    assert called.code == 0, called.err
    came = json.loads(called.out)
    assert (came["source_code"], came["left_out"]) == (["tok_odd.py"], [])
    assert (tmp_path / "with" / "tok_odd.py").exists()

    (source / "tok_odd.py").unlink()
    refused = qcqa(*asked, "-o", tmp_path / "none", "--with-source-code")
    assert refused.code == 2
    assert refused.err.count("\n") == 1
    assert not (tmp_path / "none").exists()


def test_refresh_says_what_it_changed(qcqa: Qcqa, run_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "converted"
    qcqa("convert", "--run", run_folder, "--budget", "0.5", "-m", "gqa", "-o", folder)
    (folder / "modeling_qcqa.py").write_text("old")

    called = qcqa("convert", "--refresh", folder)

    assert called.code == 0, called.err
    assert called.out.startswith(f"{folder}: modeling_qcqa.py written anew")
    again = qcqa("convert", "--refresh", folder, "--json")
    assert json.loads(again.out) == {"folder": str(folder), "changed": []}
    assert "nothing changed" in qcqa("convert", "--refresh", folder).out


def test_refresh_refuses_all_but_a_converted_folder(
    qcqa: Qcqa, tiny_llama: Path, tmp_path: Path
) -> None:
    for wrong in (
        ("--refresh", tiny_llama),
        ("--refresh", tmp_path / "gone"),
        ("--refresh", tmp_path, "-o", tmp_path / "out"),
        (tiny_llama, "--refresh", tmp_path),
        ("--refresh", tmp_path, "--with-source-code"),
        (tiny_llama, "--plan", "plan.json"),
    ):
        refused = qcqa("convert", *wrong)
        assert refused.code == 2
        assert refused.err.startswith("qcqa: ")
        assert refused.err.count("\n") == 1
