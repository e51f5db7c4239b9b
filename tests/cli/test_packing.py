"""``qcqa groups`` and ``qcqa plan`` say in how many bits each layer keeps its keys and values."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from numpy.typing import NDArray
from transformers import LlamaConfig, LlamaForCausalLM

from qcqa.charts.jobs.run_settings import settings_of
from qcqa.errors import ReductionError
from qcqa.jobs.run import Run, open_run
from qcqa.jobs.status import RunStatus
from qcqa.jobs.store import create_run
from qcqa.packaged import demo_model_folder
from qcqa.reduce.bits.options import BitsOptions
from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.groups.gram import ModelGrams
from qcqa.search.calibrated_model import CalibratedModel
from qcqa.search.methods import run_method
from qcqa.search.result import ResultFolder
from qcqa.search.search import search_model
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.optimal import lower_bound
from qcqa.search.strategy.options import ExactOptions
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
    settings = SearchSettings(exact=ExactOptions(restarts=0), workers=1)
    kept.save_bound(lower_bound(by_weights, settings))
    for name in ("mha", "gqa", "mqa"):
        kept.save_front(run_method(name, by_weights, settings))
    for name in ("bits", "heads-bits"):
        kept.save_front(run_method(name, problem, settings))
    made.write_status(RunStatus(state="finished", fraction=1.0, step=1, total=1, stage="bits"))
    return made


@pytest.fixture
def odd_heads(tmp_path: Path) -> Path:
    """Return the folder of a tiny model with heads of 80 dimensions that reads the demo's text."""
    config = LlamaConfig(
        vocab_size=2240,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        head_dim=80,
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path / "odd")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(demo_model_folder() / name, tmp_path / "odd")
    return tmp_path / "odd"


def test_groups_that_do_not_divide_a_head_are_refused_before_work(
    qcqa: Qcqa, odd_heads: Path, tmp_path: Path
) -> None:
    text = demo_model_folder() / "calibration.txt"
    asked = ("search", odd_heads, "--reduce", "bits", "--calibration", text, "-o", tmp_path / "r")
    called = qcqa(*asked, "--bits-group", 64)
    assert (called.code, called.out) == (2, "")
    assert "groups of 64 for heads of 80 dimensions; expected" in called.err
    assert called.err.count("\n") == 1
    assert not (tmp_path / "r").exists()
    with pytest.raises(ReductionError, match="groups of 64 for heads of 80"):
        search_model(
            str(odd_heads),
            methods=("bits-4",),
            settings=SearchSettings(bits=BitsOptions(group=64)),
            calibrated=CalibratedModel(str(odd_heads), str(text), tmp_path / "calibration"),
        )
    assert not (tmp_path / "calibration").exists()
    # The default takes what divides them.
    assert qcqa(*asked, "--dry-run").code == 0


def test_options_of_bits_without_bits_are_refused(qcqa: Qcqa, tmp_path: Path) -> None:
    called = qcqa("search", "demo", "--bits-rotate", "-o", tmp_path / "r")
    said = "qcqa: --bits-rotate without bits; expected a search that may reduce bits, as --reduce"
    assert called.code == 2
    assert called.err == f"{said} bits\n"
    called = qcqa("search", "demo", "--reduce", "bits", "--bits-group", 48, "-o", tmp_path / "r")
    assert (called.code, called.err) == (2, "qcqa: group = 48: Input should be 32 or 64\n")
    assert not (tmp_path / "r").exists()


def test_options_of_bits_are_those_of_the_run(qcqa: Qcqa, tmp_path: Path) -> None:
    asked = ("--reduce", "bits", "--bits-group", 64, "--bits-rotate", "--json", "--detach")
    with patch("qcqa.cli.search.start_or_carry_out"):
        assert qcqa("search", "demo", *asked, "-o", tmp_path / "r").code == 0
    run = open_run(tmp_path / "r")
    assert run.search.settings.bits == BitsOptions(group=64, rotate=True)
    assert settings_of(run)["bits.rotate"] is True
    assert settings_of(run)["bits.group"] == 64


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
