"""``qcqa evaluate``: measured figures of a run's plans beside their source, kept in the run."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qcqa.jobs.evaluations import evaluations_of
from qcqa.jobs.run import open_run
from qcqa.measure.bench import Bench
from qcqa.measure.evaluation import Evaluation
from qcqa.plan.file import load_plan
from qcqa.plan.plan import Plan

Qcqa = Callable[..., Any]
TEXT = ("--text", "demo", "--limit", 3)


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


def test_figures_of_other_data_stay_in_the_plan(qcqa: Qcqa, demo_run: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    qcqa("plan", demo_run, "--budget", "0.5", "-o", plan)
    (tmp_path / "own.txt").write_text("The cat sat by the door. " * 30)
    for asked in (TEXT, ("--text", tmp_path / "own.txt"), ("--text", "demo", "--limit", 2)):
        assert qcqa("evaluate", "demo", "--plan", plan, *asked).code == 0
    figures = load_plan(plan).measured
    names = [figure.metric for figure in figures]
    assert len(set(names)) == len(names)
    assert {"own/nll", "heldout/nll"} <= set(names)
    of_plan = json.loads(
        qcqa("evaluate", "demo", "--plan", plan, "--text", "demo", "--limit", 2, "--json").out
    )[1]["measured"]
    counts = {figure.metric: figure.sample_count for figure in figures}
    assert all(counts[one["metric"]] == one["sample_count"] for one in of_plan)


def test_a_cancelled_evaluation_of_plans_leaves_what_it_measured(
    qcqa: Qcqa, demo_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = [tmp_path / "gqa.json", tmp_path / "mqa.json"]
    for plan in plans:
        qcqa("plan", demo_run, "--budget", "0.5", "-m", plan.stem, "-o", plan)

    def cancel(self: Bench, number: int, plan: Plan) -> Evaluation:
        if number == 2:
            raise KeyboardInterrupt
        return row_of_plan(self, number, plan)

    row_of_plan = Bench.row_of_plan
    monkeypatch.setattr(Bench, "row_of_plan", cancel)
    asked = ("--plan", plans[0], "--plan", plans[1])
    assert qcqa("evaluate", "demo", *asked, *TEXT).code == 130
    assert [bool(load_plan(plan).measured) for plan in plans] == [True, False]


def test_a_converted_checkpoint_scores_as_its_plan(
    qcqa: Qcqa, demo_run: Path, tmp_path: Path
) -> None:
    plan, folder = tmp_path / "plan.json", tmp_path / "converted"
    qcqa("plan", demo_run, "--budget", "0.5", "-m", "gqa", "-o", plan)
    qcqa("convert", "demo", "--plan", plan, "-o", folder)
    asked = (*TEXT, "--speed", "--context", 8, "--new-tokens", 2, "--json")
    source, beside = json.loads(qcqa("evaluate", "demo", "--plan", plan, *asked).out)
    alone = qcqa("evaluate", folder, *asked)
    assert alone.code == 0, alone.err
    (row,) = json.loads(alone.out)
    assert (row["method"], row["kv_ratio"]) == ("gqa", 0.5)
    figures, expected = (
        {one["metric"]: one["value"] for one in rows["measured"]} for rows in (row, beside)
    )
    assert figures["cache_bytes_per_token"] == source["kv_bytes_per_token"] / 2
    assert "decode, context 8, batch 1/tokens_per_second" in figures
    for metric in ("heldout/nll", "heldout/accuracy"):
        assert figures[metric] == pytest.approx(expected[metric], abs=1e-6)
    refused = qcqa("evaluate", folder, "--plan", plan, *TEXT)
    assert refused.code == 2
    assert "has been converted already" in refused.err


def test_the_table_begins_with_the_source_and_has_every_method(qcqa: Qcqa, demo_run: Path) -> None:
    called = qcqa("evaluate", "--run", "run", "--budgets", "0.5", "-m", "gqa", *TEXT)
    assert called.code == 0, called.err
    (evaluation,) = evaluations_of(open_run(demo_run))
    _, _, table = called.out.partition("held-out stories")
    first_words = [line.split()[0] for line in table.splitlines() if line.strip()]
    assert [word for word in first_words if word in {"source", "GQA", "MQA", "Optimal"}] == [
        "source",
        "GQA",
    ]
    assert evaluation.id in called.out


def test_speed_is_measured_under_the_load_that_was_asked_for(qcqa: Qcqa, demo_run: Path) -> None:
    load = ("--context", 16, "--batch", 2, "--new-tokens", 2)
    called = qcqa("evaluate", "--run", demo_run, "-m", "mqa", "--speed", *load, "--json")
    assert called.code == 0, called.err
    source, row = json.loads(called.out)
    assert row["benchmark"]["speed"] == {"context_tokens": 16, "batch_size": 2, "new_tokens": 2}
    names = {figure["metric"] for figure in row["measured"]}
    assert "decode, context 16, batch 2/decode_speedup" in names
    assert "cache_bytes_per_token" in names
    assert source["method"] == "mha"


@pytest.mark.filterwarnings("ignore:Exception ignored in. <function Popen.__del__")
def test_a_detached_evaluation_is_listed_shown_resumed_and_deleted(
    qcqa: Qcqa, demo_run: Path
) -> None:
    asked = ("evaluate", "--run", "run", "-m", "gqa", "--text", "demo", "--limit", 60)
    started = json.loads(qcqa(*asked, "--detach", "--json").out)
    name = started["run"]
    assert Path(started["folder"]).parent == demo_run / "evaluations"
    cancelled = json.loads(qcqa("runs", "cancel", name, "--json").out)
    assert cancelled == {"run": name, "state": "cancelled"}
    listed = [row for row in json.loads(qcqa("runs", "list", "--json").out) if row["run"] != "demo"]
    assert [(row["run"], row["kind"], row["state"]) for row in listed] == [
        ("run", "search", "finished"),
        (name, "evaluation", "cancelled"),
    ]
    assert f"runs resume {name}" in qcqa("runs", "show", name).out.replace("\n", " ")
    assert qcqa("runs", "resume", name).code == 0
    shown = json.loads(qcqa("runs", "show", name, "--json").out)
    assert shown["state"] == "finished"
    assert [row["method"] for row in shown["measured"]] == ["mha", "gqa", "gqa"]
    of_search = json.loads(qcqa("runs", "show", "run", "--json").out)
    assert of_search["measured"] == shown["measured"]
    assert [row["run"] for row in of_search["evaluations"]] == [name]
    assert "GQA" in qcqa("runs", "show", name).out
    assert json.loads(qcqa("runs", "delete", name, "--yes", "--json").out)["deleted"]
    assert evaluations_of(open_run(demo_run)) == []


def test_ctrl_c_cancels_and_says_how_to_go_on(demo_run: Path) -> None:
    command = [sys.executable, "-m", "qcqa", "evaluate", "--run", demo_run, "--text", "demo"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not any(one.events() for one in evaluations_of(open_run(demo_run))):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=30)
    (evaluation,) = evaluations_of(open_run(demo_run))
    assert process.returncode == 130
    assert error.strip().endswith(f"Cancelled. Go on with: qcqa runs resume {evaluation.id}")
    assert evaluation.status().state == "cancelled"


def test_a_plan_takes_along_what_the_run_has_measured_on_it(
    qcqa: Qcqa, demo_run: Path, tmp_path: Path
) -> None:
    qcqa("evaluate", "--run", demo_run, "--budgets", "0.5", "-m", "gqa", *TEXT)
    qcqa("plan", demo_run, "--budget", "0.5", "-m", "gqa", "-o", tmp_path / "gqa.json")
    qcqa("plan", demo_run, "--budget", "0.5", "-m", "optimal", "-o", tmp_path / "other.json")
    plan = load_plan(tmp_path / "gqa.json")
    figures = {figure.metric: figure.value for figure in plan.measured}
    assert figures["heldout/nll_difference"] > 0
    assert figures["cache_bytes_per_token"] == plan.kv_bytes_per_token
    assert load_plan(tmp_path / "other.json").measured == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("demo",), "nothing to measure; expected a text, at least one task, or"),
        (("--text", "demo"), "neither a model nor a run"),
        (("demo", "--run", "demo", "--text", "demo"), "--run with a model, a revision or a plan"),
        (("demo", "--detach", "--text", "demo"), "without a run; expected --run RUN"),
        (("--run", "demo", "-m", "magic", "--text", "demo"), "method 'magic'"),
        (("demo", "--text", "demo", "--device", "cuda:77"), "device 'cuda:77' ("),
        (("demo", "--text", "demo", "--dtype", "int3"), "dtype 'int3'; expected one of auto"),
        (("{tiny}", "--text", "demo"), "has no tokenizer that can be used"),
        (("--run", "demo", "--speed", "--context", "4000"), "expected at most"),
        (("demo", "--text", "./nowhere.txt"), "nowhere.txt cannot be read"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    qcqa: Qcqa, tiny_llama: Path, arguments: tuple[str, ...], message: str
) -> None:
    called = qcqa("evaluate", *(str(one).format(tiny=tiny_llama) for one in arguments))
    assert called.code == 2
    # The bar of transformers cannot be turned off once it was imported, as by other tests here.
    (line,) = called.err[called.err.find("qcqa: ") :].splitlines()
    assert called.err.startswith(("qcqa: ", "\rLoading weights"))
    assert message in line


def test_a_dry_run_says_what_it_takes_and_measures_nothing(qcqa: Qcqa, demo_run: Path) -> None:
    asked = ("evaluate", "--run", demo_run, "--budgets", "0.5", *TEXT, "--dry-run")
    called = qcqa(*asked)
    assert called.code == 0, called.err
    said = " ".join(called.out.split())
    assert "Models 4 " in said
    assert "Tokens about 290 with each" in said
    assert "Time " in said
    assert "Memory about " in said
    assert "Type bfloat16: the checkpoint's own" in said
    told = json.loads(qcqa(*asked, "--json").out)
    assert told["models"] == 4
    assert told["seconds"]["low"] < told["seconds"]["high"]
    assert not (demo_run / "measured").exists()
    assert evaluations_of(open_run(demo_run)) == []
    in_float32 = json.loads(qcqa(*asked, "--dtype", "float32", "--json").out)
    assert in_float32["memory_bytes"] > told["memory_bytes"]
    assert qcqa("evaluate", "demo", *TEXT, "--dry-run").code == 2


def test_a_text_of_a_few_words_is_one_line(qcqa: Qcqa, demo_run: Path, tmp_path: Path) -> None:
    text = tmp_path / "few.txt"
    text.write_text("Once upon a time")
    for asked in (("--run", demo_run, "--budgets", "0.5"), ("demo",)):
        called = qcqa("evaluate", *asked, "--text", text)
        assert called.code == 2
        assert called.err.startswith("qcqa: the text few has 4 tokens to score")
        assert called.err.count("\n") == 1
    assert not (demo_run / "measured").exists()


def test_a_measurement_is_forgotten_and_no_other(qcqa: Qcqa, demo_run: Path) -> None:
    for limit in (3, 4):
        how = ("--budgets", "0.5", "--text", "demo", "--limit", limit, "-m", "gqa")
        assert qcqa("evaluate", "--run", demo_run, *how).code == 0
    before = open_run(demo_run).measured()
    called = qcqa(
        "runs", "forget", demo_run, "--metric", "heldout/accuracy", "--limit", 3, "--yes", "--json"
    )
    assert json.loads(called.out)["deleted"] == 2
    kept = open_run(demo_run).measured()
    assert kept == tuple(row for row in before if row.benchmark.limit == 4)
    assert qcqa("runs", "forget", demo_run, "--text", "demo", "-m", "gqa", "-y").code == 0
    assert [row.method for row in open_run(demo_run).measured()] == ["mha"]


def test_what_is_not_measured_is_not_forgotten(qcqa: Qcqa, demo_run: Path) -> None:
    nothing = qcqa("runs", "forget", demo_run, "--text", "demo", "--yes")
    assert nothing.code == 2
    assert "nothing was measured like that" in nothing.err
    assert qcqa("runs", "forget", demo_run, "--yes").code == 2


def test_the_included_figures_are_hidden_and_shown_again(qcqa: Qcqa) -> None:
    before = len(json.loads(qcqa("runs", "show", "demo", "--json").out)["measured"])
    one = ("--metric", "demo_recall", "-m", "gqa", "--budget", "0.5", "--yes")
    called = qcqa("runs", "forget", "demo", *one)
    assert called.code == 0, called.err
    assert called.out.startswith("Hid figures of 1 model of the included run; --restore")
    rows = json.loads(qcqa("runs", "show", "demo", "--json").out)["measured"]
    assert len(rows) == before
    without = [row for row in rows if "demo_recall" not in row["benchmark"]["tasks"]]
    assert [(row["method"], row["kv_ratio"]) for row in without] == [("gqa", 0.5)]
    assert without[0]["benchmark"]["tasks"] == ["demo_minimal_pairs"]
    every = ("--text", "demo", "--metric", "demo_recall", "--metric", "demo_minimal_pairs")
    for named in (every[:2], every[2:4], every[4:]):
        assert qcqa("runs", "forget", "demo", *named, "--yes").code == 0
    assert json.loads(qcqa("runs", "show", "demo", "--json").out)["measured"] == []
    assert qcqa("runs", "forget", "demo", "--restore").code == 0
    assert len(json.loads(qcqa("runs", "show", "demo", "--json").out)["measured"]) == before


def test_measured_figures_are_shown_under_names_for_people(qcqa: Qcqa) -> None:
    words = set(qcqa("runs", "show", "demo").out.split())
    assert not words & {"nll", "acc", "kl", "bytes_per_token"}
    assert {"likelihood", "next-token", "KL,"} <= words
