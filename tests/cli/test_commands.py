"""Every command from the outside: what it prints, what it writes, how it fails."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from qcqa.jobs.run import open_run
from qcqa.measure.benchmark import INSTALL_HARNESS
from qcqa.plan.file import load_plan

Qcqa = Callable[..., Any]


def test_inspect_shows_the_geometry(qcqa: Qcqa, tiny_llama: Path) -> None:
    report = json.loads(qcqa("inspect", tiny_llama, "--json").out)
    assert (report["num_layers"], report["num_kv_heads"], report["head_dim"]) == (4, 12, 4)
    assert report["kv_bytes_per_token"] == 2 * 4 * 12 * 4 * 4
    assert "KV heads" in qcqa("inspect", tiny_llama).out


def test_search_leaves_a_finished_run(run_folder: Path) -> None:
    run = open_run(run_folder)
    assert run.status().state == "finished"
    # No text was at hand.
    by_weights = {"optimal", "qcqa-ac-wse", "qcqa-ec-wse"}
    assert set(run.result().fronts) == {"mha", "gqa", "mqa", *by_weights}


def test_search_with_one_method_runs_that_one_beside_the_baselines(
    qcqa: Qcqa, tiny_llama: Path, tmp_path: Path
) -> None:
    called = qcqa("search", tiny_llama, "-m", "optimal", "--out", tmp_path / "r", "--json")
    assert called.code == 0
    assert json.loads(called.out)["folder"] == str(tmp_path / "r")
    assert set(open_run(tmp_path / "r").result().fronts) == {"mha", "gqa", "mqa", "optimal"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("./nowhere",),
        ("{model}", "-m", "magic"),
        ("{model}", "--preset", "magic"),
        ("{model}", "--preset", "paper", "--apart"),
        ("{model}", "--preset", "best"),
        ("{model}", "-m", "qcqa-ac"),
        ("demo", "-m", "qcqa-ac", "--fitness", "wse"),
        ("{model}", "--fitness", "output-error"),
        ("{model}", "--calibration", "./nowhere.txt"),
        ("{model}", "--merge", "median"),
    ],
)
def test_a_refused_search_leaves_no_run(
    qcqa: Qcqa, tiny_llama: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    model, *others = (str(tiny_llama) if x == "{model}" else x for x in arguments)
    called = qcqa("search", model, *others, "--out", tmp_path / "run")
    assert called.code == 2
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("-m", "qcqa-ac-wse", "--fitness", "loss"),
            "--fitness loss with QCQA-AC by WSE, which would not heed it; "
            "expected a method that does, as -m qcqa-ac, or no --fitness",
        ),
        (
            ("-m", "gqa", "-m", "mqa", "--apart"),
            "--apart with GQA and MQA, which would not heed it; "
            "expected a method that does, as -m optimal, or no --apart",
        ),
        (
            ("-m", "best", "--merge", "mean"),
            "--merge mean with Best heads, which would not heed it; "
            "expected a method that does, as -m optimal, or no --merge",
        ),
    ],
)
def test_an_option_that_no_method_would_heed_is_refused(
    qcqa: Qcqa, arguments: tuple[str, ...], said: str
) -> None:
    # The model is not even looked for.
    called = qcqa("search", "./nowhere", *arguments, "--calibration", "./nowhere.txt")
    assert (called.code, called.err) == (2, f"qcqa: {said}\n")


def test_an_option_that_some_method_heeds_is_taken(qcqa: Qcqa, tmp_path: Path) -> None:
    options = ("-m", "qcqa-ac-wse", "-m", "optimal", "--fitness", "loss", "--dry-run")
    assert qcqa("search", "demo", *options, "--out", tmp_path / "run").code == 0
    of_best = ("-m", "best", "--fitness", "loss", "--merge", "svd", "--refit", "--dry-run")
    assert qcqa("search", "demo", *of_best, "--out", tmp_path / "run").code == 0


def test_keys_and_values_apart_and_the_merge_reach_the_plan(
    qcqa: Qcqa, tiny_llama: Path, tmp_path: Path
) -> None:
    options = ("-m", "optimal", "--apart", "--merge", "mean-norm")
    assert qcqa("search", tiny_llama, *options, "--out", tmp_path / "r").code == 0
    called = qcqa("plan", tmp_path / "r", "--budget", "0.4", "--method", "optimal", "--json")
    plan = json.loads(called.out)
    assert (plan["merge"], plan["refit"], plan["calibration"]) == ("mean-norm", False, None)
    assert any(layer["key"] != layer["value"] for layer in plan["layers"])


def test_a_preset_decides_what_it_is_about_and_no_more(
    qcqa: Qcqa, tiny_llama: Path, tmp_path: Path
) -> None:
    options = ("--preset", "paper", "--generations", "3", "--stage2-generations", "3", "--seed", 5)
    assert qcqa("search", tiny_llama, *options, "--out", tmp_path / "r").code == 0
    config = open_run(tmp_path / "r").config
    assert config.methods == ("optimal", "qcqa-ac-wse", "qcqa-ec-wse")
    assert (config.settings.seed, config.settings.two_stage.generations) == (5, 3)
    assert (config.settings.fitness, config.calibration) == ("wse", None)


@pytest.mark.parametrize("budget", ["0.5", "50%"])
def test_plan_fits_its_budget(qcqa: Qcqa, run_folder: Path, tmp_path: Path, budget: str) -> None:
    called = qcqa("plan", run_folder, "--budget", budget, "-o", tmp_path / "plan.json")
    assert called.code == 0, called.err
    plan = load_plan(tmp_path / "plan.json")
    assert 0.45 < plan.kv_ratio <= 0.5
    assert plan.predicted.wse_lower_bound is not None
    assert 0 < plan.predicted.wse_lower_bound <= plan.predicted.wse


def test_plan_fits_a_budget_in_gib(qcqa: Qcqa, run_folder: Path) -> None:
    # 4 layers x 12 heads x (K and V) x 4 x 2 bytes x 1000 tokens x 2 sequences.
    whole = 4 * 12 * 2 * 4 * 2 * 1000 * 2 / 2**30
    called = qcqa(
        "plan", run_folder, "--budget-gib", whole / 4, "--context", 1000, "--batch", 2,
        "--dtype", "float16", "--method", "gqa", "--json",
    )  # fmt: skip
    plan = json.loads(called.out)
    assert (plan["method"], plan["kv_ratio"]) == ("gqa", 0.25)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--budget", "0"), "KV ratio 0; expected a number above 0"),
        (("--budget", "lots"), "budget 'lots'; expected a share"),
        (("--budget", "0.01"), "at least 8.333 %, the smallest plan of all methods"),
        (("--budget-gib", "1"), "--budget-gib without --context"),
        ((), "no budget; expected either"),
        (("--budget", "1", "--budget-gib", "1"), "two budgets; expected either"),
        (("--budget", "0.5", "--method", "magic"), "method 'magic'; expected one that was"),
        (("--budget-gib", "1", "--context", "1", "--dtype", "int3"), "dtype 'int3'"),
        (("--nonsense",), "No such option"),
    ],
)
def test_a_users_error_is_one_line_and_exit_code_2(
    qcqa: Qcqa, run_folder: Path, arguments: tuple[str, ...], message: str
) -> None:
    called = qcqa("plan", run_folder, *arguments)
    assert called.code == 2
    assert message in called.err
    assert called.err.count("\n") == 1
    assert called.out == ""


def test_a_file_that_cannot_be_written_is_one_line(
    qcqa: Qcqa, run_folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "gone" / "plan.json"
    called = qcqa("plan", run_folder, "--budget", "0.5", "-o", file)
    assert (called.code, called.out) == (2, "")
    assert called.err == f"qcqa: {file} cannot be used (No such file or directory)\n"


def test_compare_lists_every_method_at_every_budget(qcqa: Qcqa, run_folder: Path) -> None:
    rows = json.loads(qcqa("compare", "--run", run_folder, "--budgets", "0.5,25%", "--json").out)
    at_half = {row["method"]: row for row in rows if row["budget"] == 0.5}
    assert set(at_half) == {"gqa", "mqa", "optimal", "qcqa-ac-wse", "qcqa-ec-wse"}
    assert at_half["optimal"]["wse"] <= min(row["wse"] for row in at_half.values())
    assert at_half["optimal"]["wse"] >= at_half["optimal"]["wse_lower_bound"]
    assert {row["budget"] for row in rows} == {0.5, 0.25}


def test_compare_wants_a_model_or_a_run(qcqa: Qcqa) -> None:
    assert qcqa("compare").code == 2


def test_runs_are_listed_shown_and_deleted(qcqa: Qcqa, tiny_llama: Path) -> None:
    qcqa("search", tiny_llama, "-m", "optimal", "--name", "first try")
    [row] = [row for row in json.loads(qcqa("runs", "list", "--json").out) if row["run"] != "demo"]
    assert (row["name"], row["state"], row["fraction"]) == ("first try", "finished", 1.0)
    shown = json.loads(qcqa("runs", "show", row["run"], "--json").out)
    assert shown["config"]["methods"] == ["optimal"]
    assert shown["result"]
    assert qcqa("runs", "delete", row["run"], "--yes").code == 0
    assert qcqa("runs", "show", row["run"]).code == 2


@pytest.mark.filterwarnings("ignore:Exception ignored in. <function Popen.__del__")
def test_a_detached_search_can_be_cancelled_and_resumed(
    qcqa: Qcqa, tiny_llama: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    qcqa("search", tiny_llama, "--generations", 2000, "-o", folder, "--detach")
    cancelled = json.loads(qcqa("runs", "cancel", folder, "--json").out)
    assert cancelled["state"] == "cancelled"
    assert "runs resume" in qcqa("runs", "show", folder).out
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"generations": 2000', '"generations": 3'))
    assert qcqa("runs", "resume", folder).code == 0
    assert open_run(folder).status().state == "finished"


@pytest.mark.parametrize(
    "command",
    [
        "inspect",
        "search",
        "plan",
        "groups",
        "convert",
        "evaluate",
        "compare",
        "demo",
        "app",
        "runs list",
        "runs show",
    ],
)
def test_every_command_has_help_with_examples(qcqa: Qcqa, command: str) -> None:
    called = qcqa(*command.split(), "--help")
    assert called.code == 0
    assert f"qcqa {command}" in called.out.split("Example", 1)[1]


def test_help_loads_neither_torch_nor_transformers() -> None:
    script = (
        "import sys; sys.argv = ['qcqa', '--help']\n"
        "from qcqa.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'pymoo', 'streamlit'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_dry_run_says_what_a_search_takes_and_starts_nothing(qcqa, tiny_llama, tmp_path):
    out = tmp_path / "run"
    told = qcqa("search", tiny_llama, "--out", out, "--dry-run")
    assert told.code == 0, told.err
    for word in ("llama", "Memory", "Disk", "Time"):
        assert word in told.out
    assert not out.exists()
    found = json.loads(qcqa("search", "demo", "--preset", "best", "--dry-run", "--json").out)
    seconds = found["seconds"]
    assert 0 < seconds["low"] < seconds["probable"] < seconds["high"]
    assert sum(found["seconds_by_part"].values()) == pytest.approx(seconds["probable"])
    refused = qcqa("search", tmp_path, "--dry-run")
    assert refused.code == 2
    assert "config.json" in refused.err


def test_the_comparison_says_what_its_columns_are_and_fits_a_terminal(qcqa: Qcqa) -> None:
    lines = qcqa("compare", "--run", "demo", "--budgets", "0.5").out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    [first, second] = [line for line in lines if "WSE" in line or "relative" in line][:2]
    assert {"rise of", "relative", "above"} <= set(re.split(r"\s{2,}", first.strip()))
    assert {"the loss", "WSE", "bound"} <= set(re.split(r"\s{2,}", second.strip()))
    assert any("reached" in line for line in lines)
    assert any(
        line.startswith("Summed rise of the loss: measured on calibration") for line in lines
    )


def test_version_is_told(qcqa: Qcqa) -> None:
    called = qcqa("--version")
    assert (called.code, called.out) == (0, f"qcqa {version('qcqa-explorer')}\n")


def test_no_command_is_answered_with_help_alone(qcqa: Qcqa) -> None:
    called = qcqa()
    assert (called.code, called.err) == (2, "")
    assert "Usage" in called.out


def test_what_installs_the_harness_is_what_the_package_asks_for() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    (wanted,) = project["project"]["optional-dependencies"]["eval"]
    assert f"pip install '{wanted}'" == INSTALL_HARNESS
