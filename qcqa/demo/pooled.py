"""The plainest head sharing, as a yardstick: neighbouring K/V heads replaced by their mean."""

import copy

import torch
from transformers import LlamaForCausalLM

from qcqa.errors import GroupingError


def mean_pooled(model: LlamaForCausalLM, num_groups: int) -> LlamaForCausalLM:
    """Return a copy whose K/V heads are group means, each repeated for the heads of its group.

    The copy stays dense: it computes what the smaller cache would, without having it.

    Parameters
    ----------
    model
        An MHA model.
    num_groups
        Groups of neighbouring heads per layer; 1 is MQA (GQA paper, arXiv 2305.13245, section 2.1).

    Raises
    ------
    GroupingError
        The number of heads is no multiple of ``num_groups``.
    """
    heads = int(model.config.num_key_value_heads or 0)
    if heads % num_groups:
        raise GroupingError(
            f"{heads} heads do not fall into {num_groups} equal groups",
            remedy="choose a divisor of the number of heads",
        )
    pooled = copy.deepcopy(model)
    for layer in pooled.model.layers:
        for projection in (layer.self_attn.k_proj, layer.self_attn.v_proj):
            weight = projection.weight
            grouped = weight.detach().float().unflatten(0, (num_groups, heads // num_groups, -1))
            mean = grouped.mean(1, keepdim=True).expand_as(grouped)  # (groups, size, dh, d)
            with torch.no_grad():
                weight.copy_(mean.reshape(weight.shape))
    return pooled
