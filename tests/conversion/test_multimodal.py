"""The language model of a multimodal model shares heads too; here it runs on text."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

from qcqa.conversion.folder import convert_checkpoint
from qcqa.conversion.live import convert
from qcqa.conversion.loading import load
from qcqa.model.opening import open_checkpoint
from qcqa.plan.plan import Plan, Prediction
from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.groups.grouping import Grouping, LayerGrouping
from qcqa.reduce.latent.choice import Latent

TEXT = {
    "vocab_size": 32,
    "hidden_size": 48,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 3,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
VISION = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}


KINDS = pytest.mark.parametrize(
    ("model_type", "text", "vision", "auto_class"),
    [
        ("gemma3", "gemma3_text", "siglip_vision_model", AutoModelForCausalLM),
        ("llava", "llama", "clip_vision_model", AutoModelForImageTextToText),
        ("mistral3", "mistral", "pixtral", AutoModelForImageTextToText),
    ],
)


def built(model_type: str, text: str, vision: str, auto_class: Any, folder: Path) -> Any:
    """Return a tiny model with random weights, which it has saved."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        model_type,
        text_config=TEXT | {"model_type": text},
        vision_config=VISION | {"model_type": vision},
        image_token_index=5,
    )
    model = auto_class.from_config(config, attn_implementation="eager").eval()
    for parameter in model.parameters():
        parameter.normal_(std=0.2)
    model.save_pretrained(folder)
    return model


def plan_of(folder: Path, layer: LayerChoice) -> Plan:
    checkpoint = open_checkpoint(str(folder))
    return Plan(
        model=checkpoint.spec,
        fingerprint=checkpoint.fingerprint(),
        method="random",
        merge="mean",
        layers=(layer, layer),
        predicted=Prediction(wse=1.0, relative_wse=0.5),
    )


@KINDS
@torch.no_grad()
def test_language_model_shares_heads(
    model_type: str, text: str, vision: str, auto_class: Any, tmp_path: Path
) -> None:
    model = built(model_type, text, vision, auto_class, tmp_path / "source")
    grouping = LayerGrouping(key=Grouping((0, 1, 0)), value=Grouping((0, 1, 1)))
    plan = plan_of(tmp_path / "source", grouping.choice)
    dense = deepcopy(model)
    for layer in range(2):
        for name, of_role in (("k", grouping.key), ("v", grouping.value)):
            module = f"model.language_model.layers.{layer}.self_attn.{name}_proj"
            weight = dense.get_submodule(module).weight
            heads = weight.reshape(3, -1).clone()
            for group in of_role.groups:
                heads[list(group)] = heads[list(group)].mean(0)
            weight.copy_(heads.reshape(weight.shape))
    tokens = torch.from_numpy(np.random.default_rng(0).integers(6, 32, size=(2, 7)))
    expected = dense(tokens).logits
    convert_checkpoint(str(tmp_path / "source"), plan, tmp_path / "out")

    live = convert(model, plan)
    live.save_pretrained(tmp_path / "saved")
    loaded = [load(tmp_path / folder, attn_implementation="eager") for folder in ("out", "saved")]
    loaded.append(
        auto_class.from_pretrained(
            tmp_path / "out", attn_implementation="eager", trust_remote_code=True
        )
    )

    for one in (live, *loaded):
        torch.testing.assert_close(one(tokens).logits, expected, rtol=1e-4, atol=1e-4)
    saved = json.loads((tmp_path / "saved" / "config.json").read_text())
    assert saved["auto_map"]["AutoModelForImageTextToText"].startswith("modeling_qcqa.")


@KINDS
@torch.no_grad()
def test_language_model_caches_latents(
    model_type: str, text: str, vision: str, auto_class: Any, tmp_path: Path
) -> None:
    model = built(model_type, text, vision, auto_class, tmp_path / "source")
    tokens = torch.from_numpy(np.random.default_rng(0).integers(6, 32, size=(2, 7)))
    source = model(tokens).logits
    key = () if text == "gemma3_text" else (Latent((2, 1, 2, 1)),)  # whose keys are normalised
    plan = plan_of(tmp_path / "source", LayerChoice(key, (Latent(free=12),)))
    convert_checkpoint(str(tmp_path / "source"), plan, tmp_path / "out")
    live = convert(model, plan)
    live.save_pretrained(tmp_path / "saved")
    expected = live(tokens).logits
    assert not torch.allclose(expected, source, atol=1e-3)
    for folder in ("out", "saved"):
        logits = load(tmp_path / folder, attn_implementation="eager")(tokens).logits
        torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
