"""Where models run unless they are asked to run elsewhere."""

import inspect
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import qcqa
from qcqa.cli import calibrate, evaluate, generate, search
from qcqa.errors import EvaluationError
from qcqa.jobs.evaluations import create_evaluation, figures_of
from qcqa.jobs.generations import create_generation
from qcqa.jobs.run import open_run
from qcqa.jobs.store import create_run
from qcqa.jobs.worker import work
from qcqa.measure.benchmark import Benchmark
from qcqa.measure.evaluate_converted import evaluate_converted
from qcqa.model.device import default_device, usable_device
from qcqa.text.calibrate import calibrate_model


@pytest.mark.parametrize(
    "runs_models",
    [
        qcqa.CalibratedModel,
        qcqa.evaluate_plans,
        qcqa.generate_side_by_side,
        calibrate_model,
        evaluate_converted,
        create_run,
        create_evaluation,
        create_generation,
        calibrate.calibrate,
        evaluate.evaluate,
        generate.generate,
        search.search,
    ],
)
def test_all_that_runs_models_leaves_the_choice_to_one_function(
    runs_models: Callable[..., Any],
) -> None:
    assert inspect.signature(runs_models).parameters["device"].default == "auto"


@pytest.mark.parametrize(("has_cuda", "device"), [(True, "cuda"), (False, "cpu")])
def test_the_default_is_cuda_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, has_cuda: bool, device: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_cuda)
    assert default_device() == device


def test_auto_stands_for_the_default() -> None:
    assert usable_device("auto", "auto") == default_device()
    assert usable_device("cpu", "float32") == "cpu"


@pytest.mark.parametrize("device", ["abacus", "cuda:77", "automatic", ""])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    with pytest.raises(EvaluationError, match="expected cpu, or an accelerator"):
        usable_device(device, "auto")


def test_figures_tell_where_they_were_measured(searched_demo: Path, tmp_path: Path) -> None:
    run = open_run(Path(shutil.copytree(searched_demo, tmp_path / "run")))
    benchmark = Benchmark(text="demo", limit=2)
    evaluation = create_evaluation(run, points=(("gqa", 48),), benchmark=benchmark)
    work(evaluation)
    rows = figures_of(evaluation)
    assert [row.method for row in rows] == ["mha", "gqa"]
    assert {row.device for row in rows} == {default_device()}
    # The same, asked for by its name, is there already.
    named = create_evaluation(
        run, points=(("gqa", 48),), benchmark=benchmark, device=default_device()
    )
    assert figures_of(named) == rows
    other = create_evaluation(run, points=(("gqa", 48),), benchmark=benchmark, device="meta")
    assert figures_of(other) == ()
