"""``qcqa generate``: texts on the terminal as they come, kept in the run, and as JSON."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qcqa.jobs.generations import generations_of
from qcqa.jobs.run import open_run

Qcqa = Callable[..., Any]
PROMPT = ("--prompt", "Marco likes eggs. Who likes eggs?", "--max-new-tokens", 5)


def test_texts_of_a_run_are_printed_kept_and_shown_again(qcqa: Qcqa, demo_run: Path) -> None:
    called = qcqa("generate", "--run", "run", "--budget", "0.5", *PROMPT)
    assert called.code == 0, called.err
    (generation,) = generations_of(open_run(demo_run))
    heads = [called.out.index(name) for name in ("source, KV", "Optimal at 50 %", "GQA at 50 %")]
    assert heads == sorted(heads)
    assert "Marco likes eggs." in called.out
    assert called.out.count("tokens/s") == 3
    assert "50.0 % of the source's" in " ".join(called.out.split())
    assert generation.id in called.out.replace("\n", "")
    assert "GQA at 50 %, 3 of 3: converting" in called.err
    shown = qcqa("runs", "show", generation.id)
    assert shown.code == 0, shown.err
    assert "Marco likes eggs. Who likes eggs?" in shown.out
    assert shown.out.count("tokens/s") == 3


def test_json_has_every_figure_and_nothing_else_is_printed(qcqa: Qcqa, demo_run: Path) -> None:
    called = qcqa("generate", "--run", demo_run, "-m", "gqa", *PROMPT, "--json")
    source, gqa = json.loads(called.out)
    assert source["text"].startswith(" Marco likes")
    assert (source["method"], gqa["method"]) == ("mha", "gqa")
    assert source["figures"]["cache_bytes"] == 2 * gqa["figures"]["cache_bytes"]
    assert gqa["tokens_per_second"] > 0
    assert source["differs_at"] is None
    (generation,) = generations_of(open_run(demo_run))
    assert json.loads(qcqa("runs", "show", generation.id, "--json").out)["texts"] == [source, gqa]


def test_a_model_with_plans_from_files_leaves_nothing_behind(
    qcqa: Qcqa, demo_run: Path, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.json"
    qcqa("plan", demo_run, "--budget", "0.25", "-m", "optimal", "-o", plan)
    called = qcqa("generate", "demo", "--plan", plan, *PROMPT)
    assert called.code == 0, called.err
    assert "Optimal at 25 %, KV ratio 0.25" in called.out
    assert generations_of(open_run(demo_run)) == []
    alone = json.loads(qcqa("generate", "demo", *PROMPT, "--json").out)
    assert [text["method"] for text in alone] == ["mha"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "neither a model nor a run"),
        (("demo", "--budget", "0.5"), "without a run"),
        (("demo", "--run", "run"), "--run with a model"),
        (("--run", "run", "-m", "magic"), "method 'magic'"),
        (("--run", "run", *("-m", "gqa") * 4), "4 plans beside the source"),
        (("--run", "run", "--budget", "0.01"), "expected at least"),
        (("demo", "--prompt", "eggs " * 600), "a prompt of 601 tokens"),
        (("--run", "run", "--prompt", "eggs " * 600), "a prompt of 601 tokens"),
    ],
)
@pytest.mark.usefixtures("demo_run")
def test_mistakes_are_one_line(qcqa: Qcqa, arguments: tuple[str, ...], says: str) -> None:
    called = qcqa("generate", *arguments)
    assert called.code == 2
    assert says in called.err
    assert called.err.strip().splitlines()[-1].startswith("qcqa: ")


def test_ctrl_c_cancels_and_what_was_said_is_kept(demo_run: Path) -> None:
    command = [sys.executable, "-m", "qcqa", "generate", "--run", demo_run, "-m", "gqa"]
    asked = [*command, "--prompt", "Marco likes eggs.", "--max-new-tokens", "450"]
    with subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 90
        # An event is kept before it is printed: by the fifth, the first is on the terminal.
        while not any(
            sum("generated" in event for event in one.events()) >= 5
            for one in generations_of(open_run(demo_run))
        ):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"Cancelled. Go on with: qcqa runs resume" in error
    assert b"source, KV ratio 1" in out
    (generation,) = generations_of(open_run(demo_run))
    assert generation.status().state == "cancelled"
