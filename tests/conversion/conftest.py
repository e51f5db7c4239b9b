"""Tiny models of every family, plans for them, and dense models to compare with."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from qcqa.model.checkpoint import Checkpoint
from qcqa.model.heads import row_ranges
from qcqa.model.opening import open_checkpoint
from qcqa.plan.plan import Plan, Prediction
from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.groups.grouping import Grouping, LayerGrouping
from qcqa.reduce.latent.choice import Latent
from qcqa.reduce.picture import SitePicture

HIDDEN, HEADS, VOCAB, LAYERS = 48, 6, 32, 3

COMMON = {
    "vocab_size": VOCAB,
    "hidden_size": HIDDEN,
    "intermediate_size": 40,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GPT = {
    "vocab_size": VOCAB,
    "n_embd": HIDDEN,
    "n_layer": LAYERS,
    "n_head": HEADS,
    "n_positions": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
EXPERTS = {"num_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 24}
LOCAL_EXPERTS = {"num_local_experts": 2, "num_experts_per_tok": 1}
MHA, GQA, PAIRS = ({"num_key_value_heads": heads} for heads in (6, 3, 2))
WIDE = {"head_dim": 12}
FALCON = {key: value for key, value in COMMON.items() if key != "intermediate_size"}
BLOOM = {"vocab_size": VOCAB, "hidden_size": HIDDEN, "n_layer": LAYERS, "n_head": HEADS}
MPT = {"vocab_size": VOCAB, "d_model": HIDDEN, "n_layers": LAYERS, "n_heads": 6, "max_seq_len": 64}
NEO = {"num_layers": 4, "num_heads": HEADS, "attention_types": [[["global", "local"], 2]]}
NO_YARN = {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}}

#: model_type and config of every tiny model: MHA and GQA, biases, norms and windows of all kinds.
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", COMMON | MHA | {"attention_bias": True}),
    "llama-gqa": ("llama", COMMON | GQA | WIDE),
    "mistral": ("mistral", COMMON | GQA | {"sliding_window": 4}),
    "ministral": ("ministral", COMMON | GQA | WIDE),
    "ministral3": ("ministral3", COMMON | GQA),
    "mixtral": ("mixtral", COMMON | GQA | LOCAL_EXPERTS),
    "qwen2": ("qwen2", COMMON | GQA),
    "qwen2_moe": ("qwen2_moe", COMMON | GQA | EXPERTS | {"shared_expert_intermediate_size": 24}),
    "qwen3": ("qwen3", COMMON | GQA | WIDE),
    "qwen3_moe": ("qwen3_moe", COMMON | GQA | WIDE | EXPERTS),
    "gemma": ("gemma", COMMON | GQA | WIDE),
    "gemma2": ("gemma2", COMMON | GQA | WIDE | {"sliding_window": 4}),
    "gemma3_text": ("gemma3_text", COMMON | GQA | WIDE),
    "granite": ("granite", COMMON | GQA),
    "granitemoe": ("granitemoe", COMMON | GQA | LOCAL_EXPERTS),
    "starcoder2": ("starcoder2", COMMON | GQA),
    "olmo": ("olmo", COMMON | MHA),
    "olmo2": ("olmo2", COMMON | GQA),
    "olmo3": ("olmo3", COMMON | GQA),
    "olmoe": ("olmoe", COMMON | MHA | EXPERTS),
    "phimoe": ("phimoe", COMMON | GQA | LOCAL_EXPERTS | {"attention_bias": True}),
    "smollm3": ("smollm3", COMMON | GQA | {"num_hidden_layers": 4}),
    "seed_oss": ("seed_oss", COMMON | GQA | WIDE),
    "arcee": ("arcee", COMMON | GQA),
    "gpt_oss": ("gpt_oss", COMMON | GQA | WIDE | LOCAL_EXPERTS | NO_YARN | {"sliding_window": 4}),
    "phi": ("phi", COMMON | MHA),
    "phi-norm": ("phi", COMMON | GQA | {"qk_layernorm": True}),
    "phi3": ("phi3", COMMON | MHA),
    "phi3-gqa": ("phi3", COMMON | GQA),
    "stablelm": ("stablelm", COMMON | MHA),
    "stablelm-norm": ("stablelm", COMMON | GQA | {"use_qkv_bias": True, "qk_layernorm": True}),
    "cohere": ("cohere", COMMON | GQA),
    "cohere-norm": ("cohere", COMMON | GQA | {"use_qk_norm": True}),
    "glm": ("glm", COMMON | GQA | WIDE | {"attention_bias": True}),
    "glm4": ("glm4", COMMON | PAIRS | WIDE | {"attention_bias": True}),
    "opt": ("opt", COMMON | {"ffn_dim": 40, "word_embed_proj_dim": HIDDEN}),
    "gpt_neox": ("gpt_neox", COMMON),
    "gpt2": ("gpt2", GPT),
    "gpt_bigcode-mqa": ("gpt_bigcode", GPT | {"multi_query": True}),
    "gpt_bigcode": ("gpt_bigcode", GPT | {"multi_query": False}),
    "gpt_neo": ("gpt_neo", COMMON | NEO | {"window_size": 4, "num_hidden_layers": 4}),
    "gptj": ("gptj", GPT | {"rotary_dim": 4}),
    "bloom": ("bloom", BLOOM),
    "falcon-mqa": ("falcon", FALCON | {"multi_query": True, "new_decoder_architecture": False}),
    "falcon-gqa": ("falcon", FALCON | {"new_decoder_architecture": True, "num_kv_heads": 3}),
    "falcon-alibi": (
        "falcon",
        FALCON
        | {"multi_query": False, "new_decoder_architecture": False, "alibi": True, "bias": True},
    ),
    "mpt": ("mpt", MPT),
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Run tiny models on one thread: several cost more in waiting than they save."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def build(name: str) -> PreTrainedModel:
    """Build a tiny model whose biases and norms are random too."""
    model_type, settings = MODELS[name]
    torch.manual_seed(0)
    config = AutoConfig.for_model(model_type, **settings)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.2)
    return model


def unlike_groupings(num_heads: int, rng: np.random.Generator) -> LayerGrouping:
    """Return groups of unequal sizes, other ones for keys than for values.

    Two heads share their key alone; one head is left.
    """
    if num_heads <= 2:
        return LayerGrouping(Grouping((0,) * num_heads), Grouping.singletons(num_heads))
    drawn: list[Grouping] = []
    while len(drawn) < 2:
        one = Grouping.from_labels(rng.integers(num_heads - 1, size=num_heads))
        if len({len(group) for group in one.groups}) > 1 and one not in drawn:
            drawn.append(one)
    return LayerGrouping(*drawn)


def plan_of(checkpoint: Checkpoint, layers: tuple[LayerGrouping, ...]) -> Plan:
    """Return a plan for a checkpoint."""
    return Plan(
        model=checkpoint.spec,
        fingerprint=checkpoint.fingerprint(),
        method="random",
        merge="mean",
        layers=tuple(layer.choice for layer in layers),
        predicted=Prediction(wse=1.0, relative_wse=0.5, wse_lower_bound=0.9),
    )


@dataclass
class Case:
    """A tiny model, its folder, and a plan whose first layer is left as it was.

    The last layer is grouped as in GQA, where the number of heads allows it; the others share
    keys and values in unlike groups of unequal size, where there are three heads or more.
    """

    model: PreTrainedModel
    folder: Path
    checkpoint: Checkpoint
    plan: Plan

    def identity(self) -> Plan:
        """Return the plan that changes nothing."""
        alone = LayerGrouping.shared(Grouping.singletons(self.checkpoint.spec.num_kv_heads))
        return plan_of(self.checkpoint, (alone,) * self.checkpoint.spec.num_layers)

    @torch.no_grad()
    def dense(self) -> PreTrainedModel:
        """Return a copy of the model in which every head of a group is the group's mean."""
        model = deepcopy(self.model)

        def module(template: str, layer: int) -> Any:
            return model.get_submodule(self.checkpoint.module_name(template, layer))

        for layer, picture in enumerate(self.plan.pictures):
            names = self.checkpoint.architecture.modules
            for role, of_role in (("key", picture.key), ("value", picture.value)):
                projection = module(names.fused or getattr(names, role), layer)
                ranges = row_ranges(self.checkpoint.architecture, self.checkpoint.spec, role)
                rows = torch.cat([torch.arange(*one) for one in ranges])
                weight = projection.weight
                weight = weight.T if self.checkpoint.architecture.transposed else weight
                for parameter in (weight, projection.bias):
                    if parameter is not None:
                        parameter[rows] = self._means(parameter[rows], of_role)
            if names.key_norm is not None:
                self._share_norm(module(names.key_norm, layer), picture.key)
        return model

    def _share_norm(self, norm: Any, picture: SitePicture) -> None:
        if hasattr(norm, "norms"):
            scales = torch.stack([one.weight for one in norm.norms])
            for one, scale in zip(norm.norms, self._means(scales, picture), strict=True):
                one.weight.copy_(scale)
        elif norm.weight.numel() > self.checkpoint.spec.head_dim:
            norm.weight.copy_(self._means(norm.weight, picture))

    @staticmethod
    def _means(rows: Tensor, picture: SitePicture) -> Tensor:
        heads = rows.reshape(picture.num_heads, -1)
        means = torch.empty_like(heads)
        for group in picture.readers:
            means[list(group)] = sum(heads[head] for head in group) / len(group)
        return means.reshape(rows.shape)


@pytest.fixture
def make_case(tmp_path: Path) -> Callable[[str], Case]:
    """Return a maker of tiny models with a plan, by name."""

    def make(name: str) -> Case:
        folder = tmp_path / name
        model = build(name)
        model.save_pretrained(folder, max_shard_size="20KB")
        checkpoint = open_checkpoint(str(folder))
        num_heads, num_layers = checkpoint.spec.num_kv_heads, checkpoint.spec.num_layers
        rng = np.random.default_rng(0)
        alone = LayerGrouping.shared(Grouping.singletons(num_heads))
        like_gqa = LayerGrouping.shared(
            Grouping.contiguous(num_heads, num_heads // 2 if num_heads % 2 == 0 else 1)
        )
        between = [unlike_groupings(num_heads, rng) for _ in range(num_layers - 2)]
        return Case(model, folder, checkpoint, plan_of(checkpoint, (alone, *between, like_gqa)))

    return make


@pytest.fixture
def models() -> dict[str, tuple[str, dict[str, Any]]]:
    """Return model_type and config of every tiny model by name."""
    return MODELS


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a maker of folders of tiny models, by name; nobody writes to them."""

    @cache
    def make(name: str) -> Path:
        folder = tmp_path_factory.mktemp("tiny") / name
        build(name).save_pretrained(folder)
        return folder

    return make


def latents_of(checkpoint: Checkpoint, layer: int, share: float) -> LayerChoice:
    """Return latents of a share of a layer's dimensions, one more in every other plane."""
    spec = checkpoint.spec
    heads, size = spec.num_kv_heads, spec.head_dim
    planes = len(checkpoint.architecture.rotary_planes(checkpoint.config, size, layer))
    ranks = tuple(min(heads, round(heads * share) + plane % 2) for plane in range(planes))
    key = Latent(ranks, round(heads * (size - 2 * planes) * share))
    has_norm = checkpoint.architecture.norm_of_keys() is not None
    return LayerChoice(() if has_norm else (key,), (Latent(free=round(heads * size * share)),))


def plan_of_latents(folder: Path, share: float) -> Plan:
    """Return a plan with latents in all layers."""
    checkpoint = open_checkpoint(str(folder))
    layers = range(checkpoint.spec.num_layers)
    return Plan(
        model=checkpoint.spec,
        fingerprint=checkpoint.fingerprint(),
        method="maps",
        merge="mean",
        layers=tuple(latents_of(checkpoint, layer, share) for layer in layers),
        predicted=Prediction(wse=0.0, relative_wse=0.0),
    )


@pytest.fixture
def latent_plan() -> Callable[[Path, float], Plan]:
    """Return a maker of plans with latents, by the folder and the share of dimensions."""
    return plan_of_latents


@pytest.fixture(params=MODELS)
def family(request: pytest.FixtureRequest) -> str:
    """Return the name of each kind of tiny model in turn."""
    return str(request.param)


@pytest.fixture(params=MODELS)
def case(request: pytest.FixtureRequest, make_case: Callable[[str], Case]) -> Case:
    """Return a tiny model of each kind in turn."""
    return make_case(request.param)


@pytest.fixture
def tokens() -> tuple[Tensor, Tensor]:
    """Return two prompts, the first padded on the left, and their attention mask."""
    ids = torch.randint(3, VOCAB, (2, 9), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    ids[0, :4] = 0
    mask[0, :4] = 0
    return ids, mask
