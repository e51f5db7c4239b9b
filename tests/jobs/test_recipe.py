"""The commands and the Python of a recipe make the same plan again."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import qcqa
from qcqa.cli import evaluate, main, search
from qcqa.jobs.plans import plan_of_run
from qcqa.jobs.recipe import Recipe, _ratio_text, recipe_of
from qcqa.jobs.recipe_python import python_recipe
from qcqa.jobs.recipe_shell import shell_recipe
from qcqa.jobs.run import Run, open_run
from qcqa.jobs.store import create_run
from qcqa.jobs.worker import work
from qcqa.measure.benchmark import Benchmark, DecodeLoad
from qcqa.model.spec import ModelSpec
from qcqa.packaged import demo_run_folder
from qcqa.plan.budget import bits_within_ratio, budget_text, parse_ratio
from qcqa.plan.file import load_plan, plan_to_json
from qcqa.plan.plan import Plan
from qcqa.reduce.bits.options import BitsOptions
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.options import ExactOptions, TwoStageOptions

#: Bits per token of one head of the demo model: 32 elements of 16 bits.
HEAD = 512
#: That of the tiny model that is searched here: 4 elements of 32 bits.
TINY_HEAD = 128

SETTINGS: dict[str, Any] = {
    "two_stage": TwoStageOptions(
        population_size=12,
        generations=3,
        stage2_population_size=12,
        stage2_generations=6,
        crossover_probability=0.75,
        mutation_probability=0.25,
    ),
    "exact": ExactOptions(restarts=1),
    "seed": 7,
    "workers": 1,
}


@pytest.fixture
def searched(tiny_llama: Path, tmp_path: Path) -> Run:
    """Return a search of a model in a folder that a shell must have quoted."""
    model = tmp_path / "it's a $model"
    shutil.copytree(tiny_llama, model)
    run = create_run(
        model=str(model),
        methods=("qcqa-ac-wse", "optimal"),
        settings=SearchSettings(**SETTINGS),
        name="A `title`; with $signs",
        folder=tmp_path / "run",
    )
    work(run)
    return run


def _bundled() -> Run:
    folder = demo_run_folder()
    assert folder is not None
    return open_run(folder, bundled=True)


def _recipe(run: Run, kv_bits: int, method: str) -> Recipe:
    plan = plan_of_run(run, kv_bits, method=method)
    return recipe_of(run, plan, kv_bits, run.measured())


def _do(folder: Path, *command: str) -> None:
    folder.mkdir()
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def _content(plan: Plan) -> Mapping[str, Any]:
    """Return a plan as its file holds it, without what differs from run to run."""
    origin = {name: told for name, told in plan.provenance.items() if name != "run"}
    return plan_to_json(replace(plan, measured=(), provenance=origin))


def test_both_make_the_same_plan_and_checkpoint(searched: Run, tmp_path: Path) -> None:
    recipe = _recipe(searched, 37 * TINY_HEAD, "qcqa-ac-wse")
    command = f'set -eu; qcqa() {{ {sys.executable} -m qcqa "$@"; }}\n{shell_recipe(recipe)}'
    _do(tmp_path / "shell", "bash", "-c", command)
    script = tmp_path / "again.py"
    script.write_text(python_recipe(recipe), encoding="utf-8")
    _do(tmp_path / "python", sys.executable, str(script))
    wanted = plan_of_run(searched, 37 * TINY_HEAD, method="qcqa-ac-wse")
    for way in ("shell", "python"):
        file, folder = (tmp_path / way / f"{recipe.out}{suffix}" for suffix in (".json", ""))
        plan = load_plan(file)
        assert _content(plan) == _content(wanted)
        # Measured before it was written: the plan's file has the figures.
        assert "cache_bytes_per_token" in {figure.metric for figure in plan.measured}
        assert load_plan(folder / "plan.json") == plan
        assert qcqa.load(folder).config.qcqa["layers"]


def test_only_what_differs_from_the_defaults_is_said(searched: Run) -> None:
    recipe = _recipe(searched, 48 * TINY_HEAD, "optimal")
    shell, python = shell_recipe(recipe), python_recipe(recipe)
    assert "--crossover 0.75" in shell
    assert "--method qcqa-ac-wse --method optimal" in shell.replace(" \\\n   ", "")
    assert "--workers" not in shell
    assert "workers" not in python
    assert "seed=7" in python
    usual = replace(recipe, search=recipe.search.model_copy(update={"settings": SearchSettings()}))
    assert "--seed" not in shell_recipe(usual)
    assert "qcqa.SearchSettings()" in python_recipe(usual)


def test_preset_of_the_included_run_and_how_it_was_measured() -> None:
    recipe = _recipe(_bundled(), 36 * HEAD, "best")
    assert shell_recipe(recipe).splitlines()[0] == (
        "qcqa search demo --device cpu --preset best --name 'Demo model' --out demo-model"
    )
    assert "--budgets 37.5% --text demo" in shell_recipe(recipe)
    assert "--tasks demo_minimal_pairs,demo_recall --limit 400" in shell_recipe(recipe)
    python = python_recipe(recipe)
    compile(python, "recipe", "exec")
    calibrated = 'qcqa.CalibratedModel(model, "demo", run / "calibration", device="cpu")'
    assert calibrated in python
    assert 'calibrations=run / "calibration"' in python
    assert all(len(line) <= 100 for line in (python + shell_recipe(recipe)).splitlines())


def test_the_source_itself_is_neither_measured_nor_converted() -> None:
    recipe = _recipe(_bundled(), 96 * HEAD, "mha")
    commands = shell_recipe(recipe).replace("\\\n", "").splitlines()
    assert [command.split()[1] for command in commands] == ["search", "plan"]
    assert "evaluate" not in python_recipe(recipe)
    compile(python_recipe(recipe), "recipe", "exec")


def test_every_option_of_a_search_and_of_a_benchmark_is_known(
    searched: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command line is asked: it must take the words and mean the same by them."""
    settings = SearchSettings(
        **{**SETTINGS, "workers": None},
        fitness="output-error",
        merge="mean-norm",
        apart=True,
        refit=True,
        bits=BitsOptions(group=64, rotate=True),
    )
    methods = (*searched.search.methods, "bits")
    changes = {
        "settings": settings,
        "methods": methods,
        "calibration": "demo",
        "name": "-name",
        "revision": None,
    }
    benchmark = Benchmark("demo", ("demo_recall",), 3, 64, DecodeLoad(16, 2, 4))
    recipe = replace(
        _recipe(searched, 48 * TINY_HEAD, "optimal"),
        search=searched.search.model_copy(update=changes),
        benchmark=benchmark,
        device="cuda",
        dtype="float32",
    )
    asked: list[dict[str, Any]] = []

    def keep(_run: object = None, **told: Any) -> Run:
        asked.append(told)
        return searched

    monkeypatch.setattr(search, "create_run", keep)
    # The tiny model has no tokenizer that would read the text.
    monkeypatch.setattr(search, "require_calibration", lambda *_a, **_k: None)
    monkeypatch.setattr(search, "start_or_carry_out", lambda *_a, **_k: None)
    monkeypatch.setattr(evaluate, "find_run", lambda _name: searched)
    monkeypatch.setattr(evaluate, "create_evaluation", keep)
    monkeypatch.setattr(evaluate, "start_or_carry_out", lambda *_a, **_k: None)
    for line in shell_recipe(recipe).replace("\\\n", "").splitlines()[:2]:
        main.cli(shlex.split(line)[1:], standalone_mode=False)
    assert asked[0]["settings"] == settings
    assert asked[0]["methods"] == methods
    assert (asked[0]["calibration"], asked[0]["name"]) == ("demo", "-name")
    assert asked[1]["benchmark"] == benchmark
    assert (asked[1]["device"], asked[1]["dtype"]) == ("cuda", "float32")
    assert asked[1]["points"] == (("optimal", 48 * TINY_HEAD),)
    # The Python means the same.
    python = python_recipe(recipe)
    told: dict[str, Any] = {}
    for name in ("settings", "benchmark"):
        start = python.index(f"    {name} = ")
        end = python.index("\n    result =" if name == "settings" else "\n    source,", start)
        names = {"qcqa": qcqa, "run": Path(), "model": "demo"}
        exec(compile(dedent(python[start:end]), name, "exec"), names, told)
    assert told["settings"] == settings
    assert told["benchmark"] == benchmark


@pytest.mark.parametrize(("layers", "heads"), [(1, 1), (6, 8), (80, 64), (7, 3)])
def test_the_ratio_is_a_budget_of_just_so_many_heads(layers: int, heads: int) -> None:
    spec = ModelSpec("m", None, "llama", layers, heads, heads, 4, 8, False, "float32")
    full = spec.num_stored_heads
    for count in {1, 2, full // 3 or 1, full}:
        wanted = count * spec.head_bits
        text = _ratio_text(spec, wanted)
        assert bits_within_ratio(spec, float(text)) == wanted
        assert bits_within_ratio(spec, parse_ratio(budget_text(float(text)))) == wanted
        assert len(text) <= 8


def test_a_limit_of_documents_is_not_said_to_be_one_of_windows(searched: Run) -> None:
    recipe = _recipe(searched, 48 * TINY_HEAD, "optimal")
    old = Benchmark("wiki.txt", ("piqa",), limit=5, limit_of="documents")
    by_documents = replace(recipe, benchmark=old)
    assert "--text wiki.txt" in shell_recipe(by_documents)
    assert "--limit" not in shell_recipe(by_documents)
    python = python_recipe(by_documents)
    assert "limit=5" in python
    assert 'limit_of="documents"' in python
    by_windows = replace(recipe, benchmark=replace(old, limit_of="windows"))
    assert "--limit 5" in shell_recipe(by_windows)
    assert "limit_of=" not in python_recipe(by_windows)
    # Questions are counted as ever.
    questions = replace(recipe, benchmark=replace(old, text=None))
    assert "--limit 5" in shell_recipe(questions)
