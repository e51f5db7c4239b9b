"""``qcqa sensitivity``: what each layer of a plan does alone, from a run or a plan's file."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qcqa.jobs.run import open_run
from qcqa.jobs.sensitivities import found_of, sensitivities_of
from qcqa.packaged import demo_model_folder

Qcqa = Callable[..., Any]
FEW = ("--text", "demo", "--limit", 8, "--window", 32, "-m", "gqa")


def test_a_runs_plan_is_measured_once_and_kept(qcqa: Qcqa, demo_run: Path) -> None:
    first = qcqa("sensitivity", "--run", demo_run, *FEW, "--json")
    assert first.code == 0, first.err
    found = json.loads(first.out)
    assert (found["method"], found["kv_ratio"]) == ("gqa", 0.5)
    assert found["num_windows"] == 8
    assert all(layer["kl"] > 0 for layer in found["layers"])
    assert qcqa("sensitivity", "--run", demo_run, *FEW, "--json").out == first.out
    (job,) = sensitivities_of(open_run(demo_run))
    shown = json.loads(qcqa("runs", "show", job.folder, "--json").out)
    assert shown["sensitivity"] == found
    listed = json.loads(qcqa("runs", "show", demo_run, "--json").out)["sensitivity"]
    assert [one["run"] for one in listed] == [job.id]


def test_a_dry_run_says_what_it_takes_and_measures_nothing(qcqa: Qcqa, demo_run: Path) -> None:
    asked = ("sensitivity", "--run", demo_run, *FEW, "--dry-run")
    called = qcqa(*asked, "--dtype", "bfloat16")
    assert called.code == 0, called.err
    said = " ".join(called.out.split())
    for part in ("Models 7 ", "Tokens about ", "Time ", "Memory about ", "Type bfloat16: as asked"):
        assert part in said
    own, other = (
        json.loads(qcqa(*asked, "--dtype", dtype, "--json").out)
        for dtype in ("bfloat16", "float32")
    )
    assert own["models"] == 7
    assert own["seconds"]["low"] < own["seconds"]["high"]
    assert own["memory_bytes"] < other["memory_bytes"]
    assert not (demo_run / "sensitivity").exists()
    refused = qcqa("sensitivity", "--run", demo_run, *FEW, "--dry-run", "--text", "none.txt")
    assert (refused.code, refused.out) == (2, "")


def test_a_dry_run_says_what_is_measured_already(qcqa: Qcqa, demo_run: Path) -> None:
    asked = ("sensitivity", "--run", demo_run, *FEW)
    assert qcqa(*asked).code == 0
    (job,) = sensitivities_of(open_run(demo_run))
    assert f"measured already: qcqa runs show {job.id}" in " ".join(
        qcqa(*asked, "--dry-run").out.split()
    )
    assert json.loads(qcqa(*asked, "--dry-run", "--json").out) == {"measured": job.id}


def test_the_table_has_a_line_per_layer_and_says_which_moves_most(
    qcqa: Qcqa, demo_run: Path
) -> None:
    called = qcqa("sensitivity", "--run", demo_run, *FEW)
    assert called.code == 0, called.err
    (job,) = sensitivities_of(open_run(demo_run))
    found = found_of(job)
    lines = [line for line in called.out.splitlines() if line.strip()[:1].isdigit()]
    (most,) = [line for line in lines if "(most)" in line]
    assert most.split()[0] == str(found.most)
    words = " ".join(called.out.split())
    assert f"Layer {found.most} alone moves the predictions most" in words
    assert "too few for a standard error" in words
    assert f"held-out stories: {found.num_tokens} tokens in 8 windows" in words
    assert "moves the predictions most" in " ".join(qcqa("runs", "show", job.folder).out.split())


def test_a_plans_file_is_measured_as_the_runs_plan(
    qcqa: Qcqa, demo_run: Path, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.json"
    qcqa("plan", demo_run, "--budget", "0.5", "-m", "gqa", "-o", plan)
    asked = FEW[:-2]
    called = qcqa("sensitivity", "demo", "--plan", plan, *asked, "--json")
    assert called.code == 0, called.err
    of_run = json.loads(qcqa("sensitivity", "--run", demo_run, *FEW, "--json").out)
    assert json.loads(called.out)["layers"] == of_run["layers"]


@pytest.mark.filterwarnings("ignore:Exception ignored in. <function Popen.__del__")
def test_in_the_background_it_is_a_run_to_watch(qcqa: Qcqa, demo_run: Path) -> None:
    started = json.loads(qcqa("sensitivity", "--run", demo_run, *FEW, "--detach", "--json").out)
    job = open_run(Path(started["folder"]))
    deadline = time.monotonic() + 300
    while job.status().state in ("queued", "running"):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
    assert job.status().state == "finished", job.status().error
    assert found_of(job).num_windows == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--run", "run", "-m", "gqa"), "no text to measure on; expected --text FILE"),
        (("--run", "run", "--text", "none.txt"), "none.txt"),
        (("--run", "run", "-m", "mha", "--budget", "1", "--text", "demo"), "no heads share"),
        (("--run", "run", "-m", "magic", "--text", "demo"), "method 'magic'"),
        (("demo", "--run", "run", "--text", "demo"), "--run with a model"),
        (("demo", "--text", "demo"), "neither a run nor a model with a plan"),
        (("demo", "--text", "demo", "--detach"), "--detach or --dry-run without a run"),
        (("demo", "--text", "demo", "--dry-run"), "--dry-run without a run"),
    ],
)
def test_what_is_not_clear_is_one_line(
    qcqa: Qcqa, demo_run: Path, arguments: tuple[str, ...], message: str
) -> None:
    called = qcqa("sensitivity", *arguments)
    assert (called.code, called.out) == (2, "")
    assert message in called.err
    assert called.err.count("\n") == 1
    assert not (demo_run / "sensitivity").exists()


def test_the_calibration_text_of_a_plan_is_refused(qcqa: Qcqa) -> None:
    text = demo_model_folder() / "calibration.txt"
    called = qcqa("sensitivity", "--run", "demo", "-m", "best", "--text", text)
    assert called.code == 2
    assert "is the calibration text of a plan" in called.err
