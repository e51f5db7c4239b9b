"""Merges that change queries and output too, on tiny models of every family."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from qcqa.conversion.folder import convert_checkpoint
from qcqa.conversion.layout import Layout
from qcqa.conversion.live import convert
from qcqa.conversion.loading import load
from qcqa.conversion.section import section_of
from qcqa.model.heads import row_ranges
from qcqa.model.opening import open_checkpoint
from qcqa.plan.plan import Plan
from qcqa.reduce.groups.merge.context import LayerContext
from qcqa.reduce.groups.merge.layer_weights import Role

MakeCase = Callable[[str], Any]
#: Widest spread of a tiny model's logits that float32 leaves between two ways to compute them.
ROUNDING = 2e-5


def layout_of(case: Any) -> Layout:
    checkpoint = case.checkpoint
    section = section_of(
        checkpoint.architecture, checkpoint.config, case.plan.model, case.plan.layers
    )
    return Layout(checkpoint.architecture, checkpoint.spec, section, checkpoint.config)


def make_images(model: PreTrainedModel, case: Any, *, is_orthogonal: bool) -> None:
    """Make all heads of a group images of its first under maps that a merge may undo."""
    layout = layout_of(case)
    generator = torch.Generator().manual_seed(2)
    prefix = case.checkpoint.prefix

    def read(name: str) -> Tensor | None:
        try:
            return model.get_parameter(prefix + name).detach()
        except AttributeError:
            return None

    def free_map(size: int) -> Tensor:
        matrix = torch.randn(size, size, generator=generator)
        return torch.linalg.qr(matrix)[0] if is_orthogonal and size else matrix

    def key_map(context: LayerContext, size: int) -> Tensor:
        basis = torch.zeros(size, size)
        planes, norm = context.rotary_planes, context.key_norm
        if norm is not None and (is_orthogonal or norm.is_centred):
            return torch.eye(size) * (1.0 if is_orthogonal else 2.5)
        for first, second in planes:
            real, imaginary = torch.randn(2, generator=generator)
            if norm is not None:  # a sign, and a length that a norm of each head takes away
                real, imaginary = real.sign() * (1 if norm.is_over_all_heads else 2.5), 0
            elif is_orthogonal:
                real, imaginary = torch.tensor([real, imaginary]) / torch.hypot(real, imaginary)
            basis[first, first] = basis[second, second] = real
            basis[second, first], basis[first, second] = imaginary, -imaginary
        free = torch.tensor([dim for dim in range(size) if not basis[dim, dim]], dtype=torch.long)
        basis[free[:, None], free] = free_map(len(free))
        return basis

    for layer, picture in enumerate(case.plan.pictures):
        weights, context = layout.heads(layer, read, {"query"}), layout.context(layer)
        key, value = weights.key.clone(), weights.value.clone()
        size = key.shape[1]
        for group in picture.key.readers:
            for head in group[1:]:
                key[head] = key_map(context, size) @ key[group[0]]
        for group in picture.value.readers:
            for head in group[1:]:
                value[head] = free_map(size) @ value[group[0]]
        write(model, case, layer, {"key": key, "value": value})
        norm = case.checkpoint.architecture.modules.key_norm
        if norm is not None:  # scales of a group are one, or a norm's heads would differ by them
            module = model.get_submodule(case.checkpoint.module_name(norm, layer))
            case._share_norm(module, picture.key)


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
@pytest.mark.parametrize("merge", ["svd", "aligned"])
def test_images_of_a_head_merge_without_loss(
    case: Any, tokens: tuple[Tensor, Tensor], merge: str
) -> None:
    make_images(case.model, case, is_orthogonal=merge == "aligned")
    case.model.save_pretrained(case.folder / "images")
    plan = plan_for(case.folder / "images", case.plan, merge)
    expected = case.model(tokens[0]).logits
    convert_checkpoint(str(case.folder / "images"), plan, case.folder / "out")

    for model in (
        convert(case.model, plan),
        load(case.folder / "out", attn_implementation="eager"),
    ):
        worst = (model(tokens[0]).logits - expected).abs().max()
        assert worst <= ROUNDING * expected.abs().max()


@torch.no_grad()
@pytest.mark.parametrize("name", ["llama", "opt", "qwen3", "gpt2", "gpt_neox", "phi3-gqa"])
def test_images_merge_without_loss_in_the_metric_of_few_inputs(
    make_case: MakeCase, tokens: tuple[Tensor, Tensor], name: str
) -> None:
    case = make_case(name)
    make_images(case.model, case, is_orthogonal=False)
    case.model.save_pretrained(case.folder / "images")
    plan = plan_for(case.folder / "images", case.plan, "svd")
    expected = case.model(tokens[0]).logits
    inputs = torch.randn(30, case.checkpoint.spec.hidden_size + 1, dtype=torch.float64)
    inputs[:, -1] = 1.0
    if not case.checkpoint.spec.has_kv_bias:
        inputs = inputs[:, :-1]

    model = convert(case.model, plan, moments=lambda _layer: inputs.T @ inputs / len(inputs))

    worst = (model(tokens[0]).logits - expected).abs().max()
    assert worst <= ROUNDING * expected.abs().max()


def plan_for(folder: Path, plan: Plan, merge: Any) -> Plan:
    """Return a plan for the checkpoint in a folder."""
    checkpoint = open_checkpoint(str(folder))
    return replace(plan, merge=merge, model=checkpoint.spec, fingerprint=checkpoint.fingerprint())


@torch.no_grad()
@pytest.mark.parametrize("merge", ["mean-norm", "aligned", "svd"])
def test_any_model_runs_in_half_precision(
    case: Any, tokens: tuple[Tensor, Tensor], merge: Any
) -> None:
    case.model.to(torch.bfloat16).save_pretrained(case.folder / "half")
    plan = plan_for(case.folder / "half", case.plan, merge)

    model = convert(case.model, plan)

    assert {one.dtype for one in model.parameters()} == {torch.bfloat16}
    assert model(tokens[0]).logits.isfinite().all()


def test_what_svd_cannot_do_is_said(make_case: MakeCase) -> None:
    limits = {}
    for name in ("llama", "qwen3", "phi", "phi-norm"):
        checkpoint = make_case(name).checkpoint
        limits[name] = checkpoint.architecture.svd_limits(checkpoint.config)
    assert limits["llama"] is limits["phi"] is None
    assert "normalises its keys" in limits["qwen3"]
    assert limits["qwen3"] == limits["phi-norm"]
    llama = make_case("olmo").checkpoint
    assert "clips" in llama.architecture.svd_limits({**llama.config, "clip_qkv": 8.0})


def test_layers_without_rotary_embedding_are_known(make_case: MakeCase) -> None:
    layout = layout_of(make_case("smollm3"))
    rotates = [bool(layout.context(layer).rotary_planes) for layer in range(4)]
    assert rotates == [bool(flag) for flag in layout.config["no_rope_layers"]]
    assert rotates == [True, True, True, False]


@torch.no_grad()
def test_a_plan_of_single_heads_changes_no_bit(case: Any, tokens: tuple[Tensor, Tensor]) -> None:
    before = deepcopy(case.model.state_dict())
    expected = case.model(tokens[0]).logits

    model = convert(case.model, replace(case.identity(), merge="svd"))

    assert all(torch.equal(before[name], now) for name, now in model.state_dict().items())
    assert torch.equal(model(tokens[0]).logits, expected)
