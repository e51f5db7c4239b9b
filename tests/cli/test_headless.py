"""A model without a language-model head: its heads can be compared, and nothing more."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

Qcqa = Callable[..., Any]


@pytest.fixture
def reward_model(tmp_path: Path) -> Path:
    """Return the folder of a tiny reward model."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        "llama",
        vocab_size=32,
        hidden_size=24,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_labels=1,
        bos_token_id=1,
        eos_token_id=2,
    )
    folder = tmp_path / "reward"
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    return folder


def test_inspect_says_that_it_has_none(qcqa: Qcqa, reward_model: Path) -> None:
    called = qcqa("inspect", reward_model)
    assert called.code == 0, called.err
    assert "language-model head" in called.out
    assert "none: its config names" in called.out
    called = qcqa("inspect", reward_model, "--json")
    assert json.loads(called.out)["missing_head"] == (
        "its config names LlamaForSequenceClassification"
    )
    assert json.loads(qcqa("inspect", "demo", "--json").out)["missing_head"] is None


def test_whatever_would_run_or_write_it_is_refused(
    qcqa: Qcqa, reward_model: Path, tmp_path: Path
) -> None:
    run, text, plan, out = (tmp_path / one for one in ("run", "text.txt", "plan.json", "out"))
    text.write_text("The cat sat on the mat. " * 200)
    searched = qcqa("search", reward_model, "-m", "optimal", "--out", run)
    assert searched.code == 0, searched.err
    assert "no plan can be measured or carried out" in searched.err
    made = qcqa("plan", run, "--budget", "0.5", "-m", "optimal", "-o", plan)
    assert made.code == 0, made.err
    for asked in (
        ("convert", reward_model, "--plan", plan, "-o", out),
        ("convert", "--run", run, "--budget", "0.5", "-m", "optimal", "-o", out),
        ("evaluate", "--run", run, "--text", text, "-m", "optimal", "--budgets", "0.5"),
        ("generate", "--run", run, "--budget", "0.5", "--prompt", "The cat"),
        ("calibrate", reward_model, "--text", text, "-o", out),
        (
            "search", reward_model, "-m", "optimal", "--fitness", "output-error",
            "--calibration", text, "--out", out,
        ),
    ):  # fmt: skip
        called = qcqa(*asked)
        assert called.code == 2, asked
        assert called.err.count("\n") == 1, called.err
        assert "has no language-model head (its config names LlamaForSeq" in called.err
        assert not out.exists()
