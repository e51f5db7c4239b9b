"""For each family a tiny model proves that heads come out as the model itself computes them.

The model runs on one token, where a rotary embedding turns nothing, with the input of its
K and V projections replaced by unit vectors: its cache then holds the columns of its heads,
whatever way its own code has of splitting them.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import signature
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    PreTrainedConfig,
    PreTrainedModel,
)

from qcqa.errors import CheckpointError
from qcqa.model.checkpoint import Checkpoint
from qcqa.model.families import known_architectures
from qcqa.model.opening import open_checkpoint
from qcqa.text.running import cache_of

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


@dataclass(frozen=True)
class OpenedByTransformers:
    """What transformers makes of a folder's config, on the meta device.

    Parameters
    ----------
    config : PreTrainedConfig
        Of the decoder.
    shapes : dict
        Of all its parameters, by the names that they have in files.
    rotary_planes : int or None
        Planes that its rotary embedding turns; None where it has none.
    """

    config: PreTrainedConfig
    shapes: dict[str, tuple[int, ...]]
    rotary_planes: int | None

    @classmethod
    def of(cls, folder: Path, auto_class: Any) -> "OpenedByTransformers":
        config = AutoConfig.from_pretrained(folder)
        with torch.device("meta"):
            model = auto_class.from_config(config)
        sizes = {
            buffer.shape[-1]
            for name, buffer in model.named_buffers()
            if name.endswith("inv_freq") and "vision" not in name
        }
        if config.model_type == "gptj":
            sizes = {model.transformer.h[0].attn.rotary_dim // 2}
        if getattr(config, "alibi", False):
            sizes = set()
        assert len(sizes) < 2
        return cls(
            config.get_text_config(),
            {name: tuple(one.shape) for name, one in model.state_dict().items()},
            next(iter(sizes), None),
        )

    def fits(self, checkpoint: Checkpoint, saved: dict[str, tuple[int, ...]]) -> bool:
        """Return whether the heads that are saved are all of those that it would open."""
        query = checkpoint.architecture.modules.query
        modules = [*checkpoint.architecture.key_value_modules(), *([query] if query else [])]
        endings = tuple(
            f".{template.rpartition('{layer}.')[2]}.{kind}"
            for template in modules
            for kind in ("weight", "bias")
        )

        def heads(of: dict[str, tuple[int, ...]]) -> list[tuple[str, tuple[int, ...]]]:
            return sorted(
                (name.partition("layers.")[2], shape)
                for name, shape in of.items()
                if name.endswith(endings) and "vision" not in name
            )

        norm = checkpoint.architecture.modules.key_norm
        norms = {
            name.partition("layers.")[2]
            for name in self.shapes
            if norm and f".{norm.rpartition('.')[2]}." in name and "vision" not in name
        }
        return heads(self.shapes) == heads(saved) and norms <= {
            name.partition("layers.")[2] for name in saved
        }

    def num_kv_heads(self, checkpoint: Checkpoint) -> int:
        """Return the number of heads that the rows of a projection leave room for."""
        first = checkpoint.architecture.key_value_modules()[0].format(layer=0)
        shape = next(one for name, one in self.shapes.items() if name.endswith(f"{first}.weight"))
        config = self.config
        size = getattr(config, "head_dim", None)
        size = size or config.hidden_size // config.num_attention_heads
        rows = shape[checkpoint.architecture.transposed] // size
        if checkpoint.architecture.modules.fused is None:
            return rows
        return (rows - config.num_attention_heads) // 2

    def rotates(self, layer: int) -> bool:
        layers = getattr(self.config, "no_rope_layers", None)
        return self.rotary_planes is not None and (layers is None or bool(layers[layer]))


def without(config: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    """Return a config without some keys; ``text_config.x`` is a key of its text_config."""
    reduced = {key: value for key, value in config.items() if key not in keys}
    if "text_config" in reduced:
        inner = {f"text_config.{key}": value for key, value in reduced["text_config"].items()}
        reduced["text_config"] = {
            key.removeprefix("text_config."): value
            for key, value in inner.items()
            if key not in keys
        }
    return reduced


def left_out(config: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield each key of a config, and the pairs of those that stand in for each other."""
    keys = [*config, *(f"text_config.{key}" for key in config.get("text_config", ()))]
    yield from ((key,) for key in keys)
    related = ("rope", "rotary", "head", "kv", "multi_query", "no_rope", "hidden_size", "n_embd")
    yield from combinations([key for key in keys if any(word in key for word in related)], 2)


def agree(folder: Path, source: Checkpoint, auto_class: Any) -> bool:
    """Hold a folder against transformers; return whether both can open it.

    Where its config makes other shapes than are saved, it must be refused.
    """
    saved = {
        name: stored.shape for _, header in source.headers() for name, stored in header.items()
    }
    try:
        theirs = OpenedByTransformers.of(folder, auto_class)
    except Exception:  # whatever transformers makes of a config that is none
        theirs = None
    if theirs is None or not theirs.fits(source, saved):
        if theirs is not None:
            with pytest.raises(CheckpointError) as caught:
                open_checkpoint(str(folder))
            assert "\n" not in str(caught.value)
        return False
    checkpoint = open_checkpoint(str(folder))
    spec = checkpoint.spec
    expected = theirs.config
    assert spec.num_layers == expected.num_hidden_layers
    assert spec.num_query_heads == expected.num_attention_heads
    assert spec.hidden_size == expected.hidden_size
    head_dim = getattr(expected, "head_dim", None) or spec.hidden_size // spec.num_query_heads
    assert spec.head_dim == head_dim
    assert spec.num_kv_heads == theirs.num_kv_heads(source)
    for layer in range(spec.num_layers):
        planes = checkpoint.architecture.rotary_planes(checkpoint.config, spec.head_dim, layer)
        assert len(planes) == (theirs.rotary_planes if theirs.rotates(layer) else 0)
    has_head = any("lm_head" in name or "embed_out" in name for name in saved)
    assert checkpoint.missing_head is None or not (has_head or theirs.config.tie_word_embeddings)
    return True


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("model_type", "settings"), MODELS, ids=IDS)
def test_keys_that_a_config_leaves_out_are_those_of_transformers(
    model_type: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    build(model_type, settings).save_pretrained(tmp_path)
    source = open_checkpoint(str(tmp_path))
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    opened = 0
    for keys in left_out(config):
        path.write_text(json.dumps(without(config, keys)))
        opened += agree(tmp_path, source, AutoModelForCausalLM)
    assert opened > len(config) // 2


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("outer", "inner", "vision"),
    [
        ("gemma3", "gemma3_text", "siglip_vision_model"),
        ("llava", "llama", "clip_vision_model"),
        ("mistral3", "mistral", "pixtral"),
    ],
)
def test_keys_that_a_multimodal_config_leaves_out(
    outer: str, inner: str, vision: str, tmp_path: Path
) -> None:
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1}
    config = AutoConfig.for_model(
        outer,
        text_config=COMMON | GQA | WIDE | {"model_type": inner},
        vision_config=sizes
        | {"model_type": vision, "num_attention_heads": 2, "image_size": 28, "patch_size": 14},
    )
    AutoModelForImageTextToText.from_config(config).save_pretrained(tmp_path)
    source = open_checkpoint(str(tmp_path))
    path = tmp_path / "config.json"
    raw = json.loads(path.read_text())
    opened = 0
    for keys in left_out(raw):
        if any("vision" in key for key in keys) or keys == ("model_type",):
            continue
        path.write_text(json.dumps(without(raw, keys)))
        opened += agree(tmp_path, source, AutoModelForImageTextToText)
    assert opened > 15


#: Ways in which configs of all ages say which share of a head rotates.
SPELLINGS: list[dict[str, Any]] = [
    {"rope_theta": 500.0, "rope_scaling": None},
    {"{fraction}": 0.75, "rope_theta": 500.0},
    {"{fraction}": 0.75, "rope_parameters": {"rope_type": "default", "rope_theta": 500.0}},
    {
        "{fraction}": 0.75,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 500.0,
            "partial_rotary_factor": 0.25,
        },
    },
    {
        "{fraction}": 0.75,
        "rope_scaling": {"type": "linear", "factor": 2.0},
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 500.0,
            "partial_rotary_factor": 0.25,
        },
    },
    {"rope_scaling": {"rope_type": "default", "partial_rotary_factor": 0.75}},
    {"{fraction}": 0.75, "rope_scaling": {}},
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("spelling", SPELLINGS, ids=str)
@pytest.mark.parametrize("model_type", ["gpt_neox", "phi", "phi3", "stablelm", "glm", "glm4"])
def test_share_that_rotates_in_all_its_spellings(
    model_type: str, spelling: dict[str, Any], tmp_path: Path
) -> None:
    settings = next(settings for name, settings in MODELS if name == model_type)
    build(model_type, settings).save_pretrained(tmp_path)
    source = open_checkpoint(str(tmp_path))
    path = tmp_path / "config.json"
    fraction = "rotary_pct" if model_type == "gpt_neox" else "partial_rotary_factor"
    config = without(json.loads(path.read_text()), ("rope_parameters", fraction))
    spelled = {key.format(fraction=fraction): value for key, value in spelling.items()}
    path.write_text(json.dumps(config | spelled))
    assert agree(tmp_path, source, AutoModelForCausalLM) or model_type == "phi3"


def test_layers_of_smollm3_that_do_not_rotate(tmp_path: Path) -> None:
    config = COMMON | GQA | {"num_hidden_layers": 6, "no_rope_layer_interval": 3}
    build("smollm3", config).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    raw = json.loads(path.read_text())

    def rotating() -> list[bool]:
        checkpoint = open_checkpoint(str(tmp_path))
        return [
            bool(checkpoint.architecture.rotary_planes(checkpoint.config, 8, layer))
            for layer in range(6)
        ]

    assert rotating() == [True, True, False] * 2
    path.write_text(json.dumps(without(raw, ("no_rope_layers",))))
    assert rotating() == [True, True, False] * 2
    path.write_text(json.dumps(without(raw, ("no_rope_layers", "no_rope_layer_interval"))))
    assert rotating() == [True, True, True, False, True, True]


def test_defaults_are_those_of_transformers() -> None:
    for model_type, architecture in known_architectures().items():
        defaults = AutoConfig.for_model(model_type)
        for key, value in architecture.model_types[model_type].defaults.items():
            if key == architecture.position.fraction:
                assert defaults.rope_parameters["partial_rotary_factor"] == value
            else:
                assert getattr(defaults, key) == value, (model_type, key)


def test_language_models_inside_multimodal_ones_are_those_of_transformers() -> None:
    checked = 0
    for model_type, architecture in known_architectures().items():
        for outer in architecture.model_types[model_type].inside:
            try:
                config = AutoConfig.for_model(outer)
            except (ValueError, ImportError):
                continue  # a release that does not know it, or a library that is not here
            assert config.text_config.model_type == model_type
            checked += 1
    assert checked > 15
