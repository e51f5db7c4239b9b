"""``qcqa groups`` and ``qcqa plan`` say in how many bits each layer keeps its keys and values."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qcqa.jobs.run import Run
from qcqa.jobs.status import RunStatus
from qcqa.jobs.store import create_run
from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.groups.gram import ModelGrams
from qcqa.search.methods import run_method
from qcqa.search.result import ResultFolder
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.optimal import lower_bound
from qcqa.search.strategy.problem import Problem, wse_problem

Qcqa = Callable[..., Any]


@pytest.fixture
def run(random_grams: ModelGrams) -> Run:
    """Return a finished run with fronts of bits, alone and with heads, by a made-up loss."""
    spec = random_grams.spec

    def rescore(layer: int, choices: Sequence[LayerChoice]) -> NDArray[np.float64]:
        lost = [1 - one.bits_per_token(spec) * spec.num_layers / spec.kv_bits for one in choices]
        return np.array(lost) ** 2 / (1 + layer)

    made = create_run(model="demo", methods=("bits", "heads-bits"), settings=SearchSettings())
    by_weights = wse_problem(random_grams)
    problem = Problem(random_grams, by_weights.make_objective, fitness="loss", rescore=rescore)
    kept = ResultFolder(made.folder)
    kept.save_grams(random_grams)
    settings = SearchSettings(restarts=0, workers=1)
    kept.save_bound(lower_bound(by_weights, settings))
    for name in ("mha", "gqa", "mqa"):
        kept.save_front(run_method(name, by_weights, settings))
    for name in ("bits", "heads-bits"):
        kept.save_front(run_method(name, problem, settings))
    made.write_status(RunStatus(state="finished", fraction=1.0, step=1, total=1, stage="bits"))
    return made


def test_groups_with_bits(qcqa: Qcqa, run: Run) -> None:
    arguments = ("groups", run.folder, "--budget", "0.3", "-m", "heads-bits")
    shown = qcqa(*arguments).out
    assert "heads in one bracket share a key/value head" in shown
    assert " bits" in next(line for line in shown.splitlines() if "layer  2" in line)
    assert "K in" in shown
    told = json.loads(qcqa(*arguments, "--json").out)["layers"]
    assert any(layer["key_codec"] and layer["key_codec"]["kind"] == "bits" for layer in told)


def test_groups_of_bits_alone(qcqa: Qcqa, run: Run) -> None:
    shown = qcqa("groups", run.folder, "--budget", "0.5", "-m", "bits").out
    assert "no heads share" in shown
    assert "(0)" not in shown
    assert " bits" in next(line for line in shown.splitlines() if "layer  2" in line)


def test_plan_says_its_bits(qcqa: Qcqa, run: Run, tmp_path: Path) -> None:
    out = qcqa("plan", run.folder, "--budget", "0.5", "-m", "bits", "-o", tmp_path / "p.json").out
    told = " ".join(out.split())
    assert "bits, 48 of 48 K and V heads, in" in told
    assert "WSE" not in told
