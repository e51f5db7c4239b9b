"""For each family a tiny model proves that heads come out as the model itself computes them.

The model runs on one token, where a rotary embedding turns nothing, with the input of its
K and V projections replaced by unit vectors: its cache then holds the columns of its heads,
whatever way its own code has of splitting them.
"""

from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from qcqa.checkpoint import Checkpoint, known_architectures, open_checkpoint
from qcqa.evaluate.running import cache_of

HIDDEN, HEADS, VOCAB = 48, 6, 32

COMMON = {
    "vocab_size": VOCAB,
    "hidden_size": HIDDEN,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": HEADS,
    "max_position_embeddings": 16,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GPT = {"vocab_size": VOCAB, "n_embd": HIDDEN, "n_layer": 2, "n_head": HEADS, "n_positions": 16}
EXPERTS = {"num_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 24}
LOCAL_EXPERTS = {"num_local_experts": 2, "num_experts_per_tok": 1}
MHA, GQA, MQA = ({"num_key_value_heads": heads} for heads in (HEADS, 2, 1))
WIDE = {"head_dim": 12}
FALCON = {key: value for key, value in COMMON.items() if key != "intermediate_size"}
NO_YARN = {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}}

#: model_type and config of every tiny model; each family at least once, GQA wherever it can be.
MODELS: list[tuple[str, dict[str, Any]]] = [
    ("llama", COMMON | MHA),
    ("llama", COMMON | GQA),
    ("llama", COMMON | MQA | WIDE | {"attention_bias": True}),
    ("mistral", COMMON | GQA),
    ("ministral", COMMON | GQA | WIDE),
    ("ministral3", COMMON | GQA),
    ("mixtral", COMMON | GQA | LOCAL_EXPERTS),
    ("qwen2", COMMON | GQA),
    ("qwen2_moe", COMMON | GQA | EXPERTS | {"shared_expert_intermediate_size": 24}),
    ("qwen3", COMMON | GQA | WIDE),
    ("qwen3_moe", COMMON | GQA | WIDE | EXPERTS),
    ("gemma", COMMON | GQA | WIDE),
    ("gemma2", COMMON | GQA | WIDE),
    ("gemma3_text", COMMON | GQA | WIDE),
    ("granite", COMMON | GQA),
    ("granitemoe", COMMON | GQA | LOCAL_EXPERTS),
    ("starcoder2", COMMON | GQA),
    ("olmo", COMMON | GQA),
    ("olmo2", COMMON | GQA),
    ("olmo3", COMMON | GQA),
    ("olmoe", COMMON | GQA | EXPERTS),
    ("phimoe", COMMON | GQA | LOCAL_EXPERTS | {"attention_bias": True}),
    ("smollm3", COMMON | GQA),
    ("seed_oss", COMMON | GQA | WIDE),
    ("arcee", COMMON | GQA),
    ("gpt_oss", COMMON | GQA | WIDE | LOCAL_EXPERTS | NO_YARN),
    ("phi", COMMON | MHA),
    ("phi", COMMON | GQA | {"qk_layernorm": True}),
    ("phi3", COMMON | MHA),
    ("phi3", COMMON | GQA),
    ("stablelm", COMMON | GQA),
    ("stablelm", COMMON | GQA | {"use_qkv_bias": True, "qk_layernorm": True}),
    ("cohere", COMMON | GQA),
    ("cohere", COMMON | GQA | {"use_qk_norm": True}),
    ("glm", COMMON | GQA | WIDE | {"attention_bias": True}),
    ("glm4", COMMON | GQA | WIDE | {"attention_bias": True}),
    ("opt", COMMON | {"ffn_dim": 40, "word_embed_proj_dim": HIDDEN}),
    ("gpt_neox", COMMON),
    ("gpt2", GPT),
    ("gpt_bigcode", GPT | {"multi_query": True}),
    ("gpt_bigcode", GPT | {"multi_query": False}),
    (
        "gpt_neo",
        COMMON
        | {"num_layers": 2, "num_heads": HEADS, "attention_types": [[["global", "local"], 1]]},
    ),
    ("gptj", GPT | {"rotary_dim": 4}),
    ("bloom", {"vocab_size": VOCAB, "hidden_size": HIDDEN, "n_layer": 2, "n_head": HEADS}),
    ("falcon", FALCON | {"multi_query": True, "new_decoder_architecture": False}),
    ("falcon", FALCON | {"new_decoder_architecture": True, "num_kv_heads": 2, "bias": True}),
    (
        "falcon",
        FALCON
        | {"multi_query": False, "new_decoder_architecture": False, "alibi": True, "bias": True},
    ),
    (
        "mpt",
        {"vocab_size": VOCAB, "d_model": HIDDEN, "n_layers": 2, "n_heads": 6, "max_seq_len": 16},
    ),
]
IDS = [f"{number}-{name}" for number, (name, _) in enumerate(MODELS)]


def build(model_type: str, settings: dict[str, Any]) -> PreTrainedModel:
    """Build a tiny model whose biases and norms are random too."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(model_type, **settings)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.5)
    return model


@dataclass
class RunOfModel:
    """What a model made of unit inputs: per layer (d + 1, ...), the last row of the bias alone."""

    before_norm: dict[int, torch.Tensor]
    keys: list[torch.Tensor]
    values: list[torch.Tensor]


def run_on_unit_inputs(
    model: PreTrainedModel, checkpoint: Checkpoint, **inputs: torch.Tensor
) -> RunOfModel:
    """Run one token per unit vector; the projections see that instead of their own input."""
    unit = torch.cat([torch.eye(HIDDEN), torch.zeros(1, HIDDEN)])[:, None]  # (d + 1, 1, d)
    before_norm: dict[int, torch.Tensor] = {}
    hooks = []

    def replace_input(_module: torch.nn.Module, args: tuple[torch.Tensor]) -> torch.Tensor:
        return unit.view(-1, HIDDEN) if args[0].dim() == 2 else unit

    def module(template: str, layer: int) -> torch.nn.Module:
        return model.get_submodule(checkpoint.module_name(template, layer))

    for layer in range(checkpoint.spec.num_layers):
        for template in checkpoint.architecture.key_value_modules():
            hooks.append(module(template, layer).register_forward_pre_hook(replace_input))
        norm = checkpoint.architecture.modules.key_norm
        if norm is not None:
            hooks.append(
                module(norm, layer).register_forward_pre_hook(
                    lambda _module, args, layer=layer: before_norm.update({layer: args[0]})
                )
            )
    tokens = torch.ones(HIDDEN + 1, 1, dtype=torch.long)
    with torch.no_grad():
        cache = cache_of(model(tokens, use_cache=True, **inputs))
    for hook in hooks:
        hook.remove()
    layers = cache.layers
    return RunOfModel(before_norm, [one.keys for one in layers], [one.values for one in layers])


def split_heads(heads: torch.Tensor, num_kv_heads: int, head_dim: int) -> NDArray[np.float32]:
    """Return what a model cached of one layer, (H, d + 1, dh)."""
    heads = heads.reshape(HIDDEN + 1, num_kv_heads, -1, head_dim)
    # Falcon caches a copy of a shared head for each query head.
    assert (heads == heads[:, :, :1]).all()
    return heads[:, :, 0].transpose(0, 1).numpy()


@pytest.mark.parametrize(("model_type", "settings"), MODELS, ids=IDS)
def test_heads_are_those_the_model_computes(
    model_type: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    model = build(model_type, settings)
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1

    checkpoint = open_checkpoint(str(tmp_path))

    assert checkpoint.spec.model_type == model_type
    assert checkpoint.spec.num_query_heads == HEADS
    assert checkpoint.spec.dtype == "float32"
    run = run_on_unit_inputs(model, checkpoint)
    shape = (checkpoint.spec.num_kv_heads, checkpoint.spec.head_dim)
    for layer in range(2):
        heads = checkpoint.read_layer(layer)
        key = run.before_norm.get(layer, run.keys[layer])
        for ours, theirs in ((heads.key, key), (heads.value, run.values[layer])):
            computed = split_heads(theirs, *shape)
            weight, bias = ours[:, :, :HIDDEN], ours[:, :, HIDDEN:]
            if not checkpoint.spec.has_kv_bias:
                bias = np.zeros_like(weight[:, :, :1])
            np.testing.assert_array_equal(computed[:, -1], bias[:, :, 0])
            np.testing.assert_array_equal(
                computed[:, :-1], (weight + bias).transpose(0, 2, 1), strict=True
            )
    names = dict(model.named_modules())
    assert checkpoint.module_name(checkpoint.architecture.modules.output, 1) in names


@pytest.mark.parametrize(("model_type", "settings"), MODELS, ids=IDS)
def test_positions_reach_keys_as_the_architecture_says(
    model_type: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    model = build(model_type, settings)
    model.save_pretrained(tmp_path)
    checkpoint = open_checkpoint(str(tmp_path))
    scheme = checkpoint.architecture.position.scheme
    if "position_ids" not in signature(model.forward).parameters:
        assert scheme == "alibi"
        return
    first, second = (
        run_on_unit_inputs(model, checkpoint, position_ids=torch.full((HIDDEN + 1, 1), position))
        for position in (0, 15)
    )
    shape = (checkpoint.spec.num_kv_heads, checkpoint.spec.head_dim)
    still, turned = (split_heads(run.keys[1], *shape) for run in (first, second))
    rotary_dim = checkpoint.architecture.rotary_dim(checkpoint.config, shape[1])
    assert (rotary_dim > 0) == (scheme == "rotary")
    np.testing.assert_array_equal(turned[:, :, rotary_dim:], still[:, :, rotary_dim:])
    if checkpoint.architecture.position.pairing == "half":
        planes = np.arange(rotary_dim).reshape(2, -1)
    else:
        planes = np.arange(rotary_dim).reshape(-1, 2).T
    # A rotation keeps the length within each plane, and within no other pair of dimensions.
    for plane in planes.T:
        assert not np.array_equal(turned[:, :, plane], still[:, :, plane])
        np.testing.assert_allclose(
            np.linalg.norm(turned[:, :, plane], axis=2),
            np.linalg.norm(still[:, :, plane], axis=2),
            rtol=1e-4,
            atol=1e-6,
        )


def test_every_known_model_type_is_proven() -> None:
    assert {model_type for model_type, _ in MODELS} == set(known_architectures())
