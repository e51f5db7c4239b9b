"""The svd merge on tiny models of every family: nothing is lost that a change of basis can hold."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from qcqa.attention import convert, convert_checkpoint, load
from qcqa.attention.layout import Layout
from qcqa.attention.section import section_of
from qcqa.checkpoint import open_checkpoint, row_ranges
from qcqa.merge import Role

MakeCase = Callable[[str], Any]
#: Widest spread of a tiny model's logits that float32 leaves between two ways to compute them.
ROUNDING = 2e-5


def layout_of(case: Any) -> Layout:
    checkpoint = case.checkpoint
    section = section_of(
        checkpoint.architecture, checkpoint.config, case.plan.model, case.plan.layers
    )
    return Layout(checkpoint.architecture, checkpoint.spec, section, checkpoint.config)


def images_under_allowed_maps(model: PreTrainedModel, case: Any) -> None:
    """Make all heads of a group images of its first under maps that the merge may undo."""
    layout = layout_of(case)
    generator = torch.Generator().manual_seed(2)
    prefix = case.checkpoint.prefix

    def read(name: str) -> Tensor | None:
        try:
            return model.get_parameter(prefix + name).detach()
        except AttributeError:
            return None

    for layer, grouping in enumerate(case.plan.layers):
        weights = layout.heads(layer, read, {"query", "key", "value"})
        key, value = weights.key.clone(), weights.value.clone()
        planes = layout.context(layer).rotary_planes
        size = key.shape[1]
        free = [dim for dim in range(size) if not any(dim in plane for plane in planes)]
        for group in grouping.key.groups:
            for head in group[1:]:
                basis = torch.zeros(size, size)
                if free:
                    basis[torch.tensor(free)[:, None], free] = torch.randn(
                        len(free), len(free), generator=generator
                    )
                for first, second in planes:
                    real, imaginary = torch.randn(2, generator=generator)
                    basis[first, first] = basis[second, second] = real
                    basis[second, first], basis[first, second] = imaginary, -imaginary
                key[head] = basis @ key[group[0]]
        for group in grouping.value.groups:
            for head in group[1:]:
                value[head] = torch.randn(size, size, generator=generator) @ value[group[0]]
        write(model, case, layer, {"key": key, "value": value})


def write(model: PreTrainedModel, case: Any, layer: int, heads: dict[Role, Tensor]) -> None:
    """Write heads to where the source's own layout has them."""
    architecture, spec = case.checkpoint.architecture, case.checkpoint.spec
    for role, new in heads.items():
        template = architecture.modules.fused or getattr(architecture.modules, role)
        module = model.get_submodule(case.checkpoint.module_name(template, layer))
        ranges = row_ranges(architecture, spec, role)
        rows = torch.cat([torch.arange(*one) for one in ranges])
        weight = module.weight.T if architecture.transposed else module.weight
        weight[rows] = new.flatten(0, 1)[:, : spec.hidden_size]
        if module.bias is not None:
            module.bias[rows] = new.flatten(0, 1)[:, spec.hidden_size]


@torch.no_grad()
def test_images_of_a_head_merge_without_loss(case: Any, tokens: tuple[Tensor, Tensor]) -> None:
    if case.checkpoint.architecture.modules.key_norm is not None:
        pytest.skip("a norm stands between the keys and any change of basis")
    images_under_allowed_maps(case.model, case)
    case.model.save_pretrained(case.folder / "images")
    checkpoint = open_checkpoint(str(case.folder / "images"))
    plan = replace(
        case.plan, merge="svd", model=checkpoint.spec, fingerprint=checkpoint.fingerprint()
    )
    expected = case.model(tokens[0]).logits
    convert_checkpoint(str(case.folder / "images"), plan, case.folder / "out")

    for model in (
        convert(case.model, plan),
        load(case.folder / "out", attn_implementation="eager"),
    ):
        worst = (model(tokens[0]).logits - expected).abs().max()
        assert worst <= ROUNDING * expected.abs().max()


@torch.no_grad()
def test_a_plan_of_single_heads_changes_no_bit(case: Any, tokens: tuple[Tensor, Tensor]) -> None:
    before = deepcopy(case.model.state_dict())
    expected = case.model(tokens[0]).logits

    model = convert(case.model, replace(case.identity(), merge="svd"))

    assert all(torch.equal(before[name], now) for name, now in model.state_dict().items())
    assert torch.equal(model(tokens[0]).logits, expected)
