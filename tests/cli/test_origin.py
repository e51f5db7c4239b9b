"""On which ground a plan is taken that nobody named, and what its search lacks: on stderr."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qcqa.jobs.conversions import conversions_of
from qcqa.jobs.plans import plan_of_run
from qcqa.jobs.run import open_run
from qcqa.jobs.status import RunStatus
from qcqa.measure.benchmark import Benchmark
from qcqa.measure.evaluation import Evaluation
from qcqa.plan.file import load_plan
from qcqa.plan.plan import Measurement

Qcqa = Callable[..., Any]

#: Each asks for a plan of a run and names no method.
ASKED = {
    "plan": ("plan", "{run}", "--budget", "50%", "-o", "{out}.json"),
    "plan as JSON": ("plan", "{run}", "--budget", "50%", "--json"),
    "groups": ("groups", "{run}", "--budget", "50%", "--json"),
    "capacity": ("capacity", "{run}", "--budget", "50%", "--gpu", "h100", "--json"),
    "chart": ("export", "chart", "{run}", "--show", "groups", "-o", "{out}.html"),
    "code": ("export", "code", "{run}"),
    "convert": ("convert", "--run", "{run}", "--budget", "50%", "-o", "{out}", "--json"),
}


def _measure(run: Path, **accuracies: float) -> None:
    """Leave figures of plans at half of the cache, as an evaluation leaves them."""
    found = open_run(run)
    half = found.result().spec.kv_bits // 2
    found.measured_folder.make()
    for name, accuracy in accuracies.items():
        method = name.replace("_", "-")
        figures = (Measurement("some/accuracy", accuracy, 0.001, 2000),)
        plan = plan_of_run(found, half, method=method)
        row = Evaluation.of_plan(
            plan, Benchmark(text="/texts/some.txt"), figures, device="cpu", dtype="auto"
        )
        found.measured_folder.save(method, row)


@pytest.fixture
def run(run_folder: Path, tmp_path: Path) -> Path:
    """Return a run of all methods by WSE, of the test's own."""
    return Path(shutil.copytree(run_folder, tmp_path / "run"))


def _call(qcqa: Qcqa, asked: tuple[str, ...], run: Path, tmp_path: Path, *more: str) -> Any:
    places = {"run": str(run), "out": str(tmp_path / "out")}
    called = qcqa(*(word.format(**places) for word in asked), *more)
    assert called.code == 0, called.err
    return called


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_each_command_takes_the_measured_best_and_says_so(
    qcqa: Qcqa, run: Path, tmp_path: Path, asked: tuple[str, ...]
) -> None:
    called = _call(qcqa, asked, run, tmp_path)
    assert called.err.splitlines()[-1].startswith("Chosen: Optimal (estimated by WSE alone: ")
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    _measure(run, optimal=0.3, qcqa_ac=0.2, qcqa_ec=0.2, gqa=0.4)
    called = _call(qcqa, asked, run, tmp_path)
    said = "Chosen: GQA (measured next-token accuracy 40.0 % on some.txt; not measured: MQA)."
    assert called.err.splitlines() == [said]
    if "--json" in asked:
        told = json.loads(called.out)
        assert told.get("provenance", told)["chosen"]["why"] == said
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    named = _call(qcqa, asked, run, tmp_path, "--method", "mqa")
    assert named.err == ""
    assert "chosen" not in named.out


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_each_command_says_what_an_unfinished_search_lacks(
    qcqa: Qcqa, run: Path, tmp_path: Path, asked: tuple[str, ...]
) -> None:
    open_run(run).write_status(RunStatus(state="cancelled"))
    for method in ("optimal", "qcqa-ac-wse"):
        (run / "fronts" / f"{method}.plans.parquet").unlink()
    said = (
        "This search was cancelled: Optimal, QCQA-AC by WSE are missing; their plans may be "
        f"better. `qcqa runs resume {run}` goes on."
    )
    first, *others = _call(qcqa, asked, run, tmp_path).err.splitlines()
    assert first == said
    assert [line.split(" (")[0] for line in others] == ["Chosen: QCQA-EC by WSE"]
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    # Of a plan that was asked for by name it is not said that it is the best; the rest is.
    assert _call(qcqa, asked, run, tmp_path, "--method", "gqa").err == f"{said}\n"


@pytest.mark.parametrize(
    "asked",
    [
        ("compare", "--run", "{run}"),
        ("export", "chart", "{run}", "-o", "{out}.html"),
        ("export", "table", "{run}", "-o", "{out}.csv"),
    ],
)
def test_tables_of_an_unfinished_search_say_so(
    qcqa: Qcqa, run: Path, tmp_path: Path, asked: tuple[str, ...]
) -> None:
    assert _call(qcqa, asked, run, tmp_path).err == ""
    open_run(run).write_status(RunStatus(state="failed", error="out of memory"))
    (run / "fronts" / "qcqa-ec-wse.plans.parquet").unlink()
    called = _call(qcqa, asked, run, tmp_path)
    assert called.err.startswith(
        "This search failed: QCQA-EC by WSE is missing; its plans may be better."
    )
    assert called.err.count("\n") == 1


def test_the_plans_file_keeps_both(qcqa: Qcqa, run: Path, tmp_path: Path) -> None:
    open_run(run).write_status(RunStatus(state="cancelled"))
    (run / "fronts" / "optimal.plans.parquet").unlink()
    _call(qcqa, ASKED["plan"], run, tmp_path)
    provenance = load_plan(tmp_path / "out.json").provenance
    assert provenance["search"]["missing"] == ["optimal"]
    assert provenance["chosen"]["by"] == "wse"
    _call(qcqa, ASKED["convert"], run, tmp_path)
    converted = load_plan(tmp_path / "out" / "plan.json").provenance
    assert converted["search"] == provenance["search"]
    assert converted["chosen"] == provenance["chosen"]


def test_a_conversion_in_the_background_keeps_them(
    qcqa: Qcqa, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qcqa.cli.jobs.start_worker", lambda _: None)
    _call(qcqa, ASKED["convert"], run, tmp_path, "--detach")
    (conversion,) = conversions_of(open_run(run))
    # What is measured while it waits changes nothing of why the plan was taken.
    _measure(run, optimal=0.3, gqa=0.4)
    conversion.write_status(RunStatus(state="cancelled"))
    called = qcqa("runs", "resume", conversion.folder, "--json")
    assert called.code == 0, called.err
    plan = load_plan(tmp_path / "out" / "plan.json")
    assert (plan.method, plan.provenance["chosen"]["by"]) == ("optimal", "wse")


def test_generate_takes_the_measured_best_beside_gqa(qcqa: Qcqa, demo_run: Path) -> None:
    _measure(demo_run, optimal=0.3, gqa=0.4)
    prompt = ("--prompt", "Marco likes eggs.", "--max-new-tokens", 2, "--json")
    called = qcqa("generate", "--run", demo_run, *prompt)
    assert called.code == 0, called.err
    assert "Chosen: GQA (measured next-token accuracy 40.0 % on some.txt" in called.err
    assert [text["method"] for text in json.loads(called.out)] == ["mha", "gqa"]
    open_run(demo_run).write_status(RunStatus(state="cancelled"))
    (demo_run / "fronts" / "optimal.plans.parquet").unlink()
    called = qcqa("generate", "--run", demo_run, "-m", "gqa", *prompt)
    assert "This search was cancelled: Optimal is missing" in called.err
    assert "Chosen" not in called.err


def test_a_mistake_stays_one_line(qcqa: Qcqa, run: Path, tmp_path: Path) -> None:
    open_run(run).write_status(RunStatus(state="cancelled"))
    for mistake in (
        ("plan", run, "--budget", "50"),
        ("plan", run, "--budget", "1%"),
        ("plan", run, "--budget", "50%", "-o", tmp_path / "gone" / "plan.json"),
        ("convert", "--run", run, "--budget", "50%", "-o", run),
    ):
        called = qcqa(*mistake)
        assert (called.code, called.err.count("\n")) == (2, 1), called.err


@pytest.mark.parametrize("budget", ["50%", "50 %", "0.5"])
def test_a_budget_is_a_percentage_or_a_share(qcqa: Qcqa, run: Path, budget: str) -> None:
    called = qcqa("plan", run, "--budget", budget, "--json")
    assert json.loads(called.out)["kv_ratio"] == 0.5


@pytest.mark.parametrize(
    ("budget", "remedy"),
    [("50", "50% or 0.5"), ("37.5", "37.5% or 0.375"), ("100", "100% or 1")],
)
def test_a_percentage_without_its_sign_is_refused_with_the_remedy(
    qcqa: Qcqa, run: Path, budget: str, remedy: str
) -> None:
    for command in (("plan", run), ("export", "code", run), ("convert", "--run", run, "-o", "out")):
        called = qcqa(*command, "--budget", budget)
        assert (called.code, called.out) == (2, "")
        assert called.err.endswith(f"; write {remedy}\n")
        assert called.err.count("\n") == 1
