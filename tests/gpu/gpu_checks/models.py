"""Random Llamas, plans for them, and their dense twins."""

from collections.abc import Sequence
from copy import deepcopy

import numpy as np
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from gpu_checks.sizes import Shape
from qcqa.model.fingerprint import fingerprint
from qcqa.model.heads import LayerHeads
from qcqa.model.spec import ModelSpec
from qcqa.plan.plan import Plan, Prediction
from qcqa.reduce.groups.grouping import Grouping, LayerGrouping


@torch.no_grad()
def build(
    shape: Shape,
    *,
    dtype: torch.dtype,
    device: torch.device,
    context: int = 4096,
    attention: str = "sdpa",
) -> PreTrainedModel:
    """Return a Llama whose activations neither vanish nor grow."""
    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.hidden * 11 // 4,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=context,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=None,
    )
    torch.manual_seed(0)
    with torch.device(device):
        model = LlamaForCausalLM._from_config(config, dtype=dtype, attn_implementation=attention)
    for parameter in model.parameters():
        if parameter.dim() == 2:
            # Wide enough that a token's attention is far from even.
            parameter.normal_(std=1.4 * parameter.shape[1] ** -0.5)
    return model.eval()


def plan_for(
    model: PreTrainedModel, layers: Sequence[LayerGrouping], *, merge: str = "mean"
) -> Plan:
    """Return a plan for a live Llama."""
    config = model.config
    return Plan(
        model=ModelSpec(
            source="a random Llama",
            revision=None,
            model_type="llama",
            num_layers=config.num_hidden_layers,
            num_query_heads=config.num_attention_heads,
            num_kv_heads=config.num_key_value_heads,
            head_dim=config.head_dim,
            hidden_size=config.hidden_size,
            has_kv_bias=False,
            dtype=str(model.dtype).removeprefix("torch."),
        ),
        fingerprint=fingerprint(_heads(model, layer) for layer in range(config.num_hidden_layers)),
        method="by hand",
        merge=merge,
        layers=tuple(layer.choice for layer in layers),
        predicted=Prediction(wse=0.0, relative_wse=0.0),
    )


def _heads(model: PreTrainedModel, layer: int) -> LayerHeads:
    attention = model.model.layers[layer].self_attn
    shape = (model.config.num_key_value_heads, model.config.head_dim, -1)
    # The first row of a head is all that counts.
    key, value = (
        one.weight.detach().reshape(shape)[:, :1].float().cpu().numpy()
        for one in (attention.k_proj, attention.v_proj)
    )
    return LayerHeads(key=key, value=value)


def alone(num_heads: int) -> LayerGrouping:
    """Return the grouping that leaves a layer as it was."""
    return LayerGrouping.shared(Grouping.singletons(num_heads))


def like_gqa(num_heads: int) -> LayerGrouping:
    """Return pairs of neighbours, which are half of the heads."""
    return LayerGrouping.shared(Grouping.contiguous(num_heads, num_heads // 2))


def unequal(num_heads: int, rng: np.random.Generator) -> LayerGrouping:
    """Return groups of unequal sizes, fewer of keys than of values: half of the heads together."""
    of_keys = num_heads * 3 // 8
    return LayerGrouping(
        key=_grouping(num_heads, of_keys, rng),
        value=_grouping(num_heads, num_heads - of_keys, rng),
    )


def _grouping(num_heads: int, num_groups: int, rng: np.random.Generator) -> Grouping:
    """Return random groups, none of them empty and the first the largest."""
    labels = np.minimum(np.arange(num_heads), num_groups - 1)[::-1]
    return Grouping.from_labels(rng.permutation(labels))


def mixed_layers(shape: Shape) -> list[LayerGrouping]:
    """Return a layer as it was, layers of unequal groups, and one as in grouped-query attention."""
    rng = np.random.default_rng(0)
    between = [unequal(shape.heads, rng) for _ in range(shape.layers - 2)]
    return [alone(shape.heads), *between, like_gqa(shape.heads)]


@torch.no_grad()
def dense_twin(source: PreTrainedModel, plan: Plan) -> PreTrainedModel:
    """Return a copy of a model in which every head of a group is the group's mean."""
    twin = deepcopy(source)
    for layer, picture in zip(twin.model.layers, plan.pictures, strict=True):
        for projection, of_role in (
            (layer.self_attn.k_proj, picture.key),
            (layer.self_attn.v_proj, picture.value),
        ):
            heads = projection.weight.view(of_role.num_heads, plan.model.head_dim, -1)
            for group in of_role.readers:
                members = list(group)
                heads[members] = heads[members].double().mean(dim=0).to(heads.dtype)
    return twin


def random_tokens(model: PreTrainedModel, shape: tuple[int, int], *, seed: int = 0) -> Tensor:
    """Return tokens on the model's device, none of them the padding."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, model.config.vocab_size, shape, generator=generator)
    return ids.to(model.device)


def relative_error(found: Tensor, wanted: Tensor) -> float:
    """Return the norm of the difference over that of what is wanted; infinite for no numbers."""
    error = float((found.double() - wanted.double()).norm() / wanted.double().norm())
    return error if error == error else float("inf")
