"""A model is the plan's own in every float type, and another one in none."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from qcqa.conversion.live import convert
from qcqa.errors import PlanError
from qcqa.model.opening import open_checkpoint

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def plan_of_stored(case: Any, folder: Path, dtype: str) -> Any:
    """Write a case's model in a float type, its weights as small as those of real models."""
    with torch.no_grad():
        for parameter in case.model.parameters():
            parameter.mul_(0.05)
    case.model.to(DTYPES[dtype]).save_pretrained(folder)
    checkpoint = open_checkpoint(str(folder))
    assert checkpoint.spec.dtype == dtype
    return replace(case.plan, model=checkpoint.spec, fingerprint=checkpoint.fingerprint())


@pytest.mark.parametrize("opened", DTYPES)
@pytest.mark.parametrize("stored", DTYPES)
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_the_same_in_every_type(
    make_case: Callable[[str], Any], name: str, stored: str, opened: str, tmp_path: Path
) -> None:
    case = make_case(name)
    plan = plan_of_stored(case, tmp_path / "model", stored)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=DTYPES[opened])
    assert convert(model, plan) is model
    assert model.dtype == DTYPES[opened]


def test_rounded_on_the_way(make_case: Callable[[str], Any], tmp_path: Path) -> None:
    case = make_case("llama")
    plan = plan_of_stored(case, tmp_path / "model", "float32")
    for ways in (("float16", "float32"), ("float16", "bfloat16"), ("bfloat16", "float16")):
        model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
        for dtype in ways:
            model = model.to(DTYPES[dtype])
        assert convert(model, plan) is model


def test_copy_elsewhere_once_the_plans_own_folder_is_gone(
    make_case: Callable[[str], Any], tmp_path: Path
) -> None:
    case = make_case("llama")
    plan = plan_of_stored(case, tmp_path / "model", "bfloat16")
    shutil.move(tmp_path / "model", tmp_path / "moved")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "moved", dtype=torch.float16)
    assert convert(model, plan) is model


@pytest.mark.parametrize("opened", DTYPES)
@pytest.mark.parametrize("stored", DTYPES)
def test_another_model_in_no_type(
    make_case: Callable[[str], Any], stored: str, opened: str, tmp_path: Path
) -> None:
    case = make_case("llama")
    plan = plan_of_stored(case, tmp_path / "model", stored)
    # As near to the model as a fine-tune that moved a single weight that is looked at.
    weight = case.model.model.layers[2].self_attn.v_proj.weight
    with torch.no_grad():
        weight[0, 0] *= 1.5
    case.model.save_pretrained(tmp_path / "tuned")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "tuned", dtype=DTYPES[opened])
    with pytest.raises(PlanError, match="fingerprint") as caught:
        convert(model, plan)
    assert "\n" not in str(caught.value)
    assert type(model).__name__ == "LlamaForCausalLM"


def test_nothing_at_hand_to_compare_with(make_case: Callable[[str], Any], tmp_path: Path) -> None:
    case = make_case("llama")
    plan = plan_of_stored(case, tmp_path / "model", "float32")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float16)
    shutil.rmtree(tmp_path / "model")
    with pytest.raises(PlanError, match="is not at hand") as caught:
        convert(model, plan)
    message = str(caught.value)
    assert "\n" not in message
    assert "open the model in float32, convert it, then change its type" in message
