"""The weights that are read are those that transformers opens, and so is what they are for."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedModel,
)

from qcqa.errors import UnsupportedModelError
from qcqa.model.fingerprint import fingerprint
from qcqa.model.heads import LayerHeads
from qcqa.model.opening import open_checkpoint

SIZES: dict[str, Any] = {
    "vocab_size": 32,
    "hidden_size": 24,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def build(
    model_type: str = "llama", *, auto: Any = AutoModelForCausalLM, seed: int = 0, **settings: Any
) -> PreTrainedModel:
    torch.manual_seed(seed)
    return auto.from_config(AutoConfig.for_model(model_type, **(SIZES | settings)))


def fingerprint_of(model: PreTrainedModel) -> str:
    layers = []
    for layer in model.model.layers:
        key, value = (
            one.weight.detach().reshape(2, 12, 24).numpy()
            for one in (layer.self_attn.k_proj, layer.self_attn.v_proj)
        )
        layers.append(LayerHeads(key=key, value=value))
    return fingerprint(layers)


def in_one_file_and_in_shards(folder: Path) -> None:
    build(seed=1).save_pretrained(folder, max_shard_size="4KB")
    save_file(build(seed=2).state_dict(), folder / "model.safetensors", {"format": "pt"})


def with_a_variant(folder: Path) -> None:
    build(seed=1).save_pretrained(folder)
    build(seed=2).save_pretrained(folder, variant="fp16")


def named_by_the_config(folder: Path) -> None:
    build(seed=1).save_pretrained(folder)
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    build(seed=2).save_pretrained(folder)
    path = folder / "config.json"
    path.write_text(
        json.dumps(json.loads(path.read_text()) | {"transformers_weights": "other.safetensors"})
    )


@pytest.mark.parametrize("write", [in_one_file_and_in_shards, with_a_variant, named_by_the_config])
def test_of_several_files_those_that_transformers_opens(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    write(tmp_path)
    opened = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert open_checkpoint(str(tmp_path)).fingerprint() == fingerprint_of(opened)


HEADLESS = [
    ("llama", AutoModel, {}),
    ("qwen2", AutoModel, {"num_key_value_heads": 2}),
    ("gpt_neox", AutoModel, {}),
    ("llama", AutoModelForSequenceClassification, {"num_labels": 1}),
    ("mistral", AutoModelForTokenClassification, {"num_key_value_heads": 2}),
    ("gemma", AutoModelForSequenceClassification, {"head_dim": 12, "num_key_value_heads": 2}),
    ("gpt2", AutoModelForSequenceClassification, {"n_embd": 24, "n_layer": 2, "n_head": 2}),
]


@pytest.mark.parametrize(("model_type", "auto", "settings"), HEADLESS)
def test_model_without_a_language_model_head(
    model_type: str, auto: Any, settings: dict[str, Any], tmp_path: Path
) -> None:
    build(model_type, auto=auto, **settings).save_pretrained(tmp_path)
    checkpoint = open_checkpoint(str(tmp_path))
    with pytest.raises(UnsupportedModelError) as caught:
        checkpoint.require_language_model()
    message = str(caught.value)
    assert "\n" not in message
    assert "has no language-model head" in message
    assert "ForCausalLM" in message


def test_untied_model_whose_head_was_lost(tmp_path: Path) -> None:
    build().save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["lm_head.weight"]
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    for architectures in (["LlamaForCausalLM"], ["MyOwnModel2"], None):
        path = tmp_path / "config.json"
        config = json.loads(path.read_text()) | {"architectures": architectures}
        path.write_text(json.dumps(config))
        missing = open_checkpoint(str(tmp_path)).missing_head
        assert missing is not None
        assert "no lm_head.weight" in missing


@pytest.mark.parametrize(
    ("model_type", "settings", "left_out"),
    [
        ("llama", {}, ()),
        ("llama", {}, ("architectures",)),
        ("llama", {"tie_word_embeddings": True}, ("architectures",)),
        ("gemma", {"head_dim": 12, "num_key_value_heads": 2}, ("tie_word_embeddings",)),
        ("gpt_neox", {}, ("tie_word_embeddings",)),
        ("opt", {"ffn_dim": 16, "word_embed_proj_dim": 24}, ("tie_word_embeddings",)),
        ("bloom", {"n_head": 2, "n_layer": 2}, ("tie_word_embeddings", "architectures")),
    ],
)
@pytest.mark.parametrize(
    "architectures", [None, ["MyOwnLM"], ["LlamaModel"], ["LlamaForRewardingThings"]]
)
def test_model_with_a_language_model_head(
    model_type: str,
    settings: dict[str, Any],
    left_out: tuple[str, ...],
    architectures: list[str] | None,
    tmp_path: Path,
) -> None:
    model = build(model_type, **settings)
    model.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    has_tensor = not config["tie_word_embeddings"]
    for key in left_out:
        del config[key]
    if architectures is not None:
        config["architectures"] = architectures
    path.write_text(json.dumps(config))
    # A tensor of the head tells more than a name; without it the name counts.
    is_named_otherwise = architectures is not None and "For" in architectures[0]
    missing = open_checkpoint(str(tmp_path)).missing_head
    assert (missing is None) == (has_tensor or not is_named_otherwise)
