"""For each family: a converted model is the dense model whose heads were replaced, and smaller."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from qcqa.conversion.folder import convert_checkpoint
from qcqa.conversion.live import convert
from qcqa.conversion.loading import load
from qcqa.conversion.travelling import modeling_qcqa
from qcqa.model.families import known_architectures
from qcqa.text.running import cache_of

Case = Any
Tokens = tuple[Tensor, Tensor]
MakeCase = Callable[[str], Case]


def generate(model: PreTrainedModel, tokens: Tokens, **options: Any) -> Tensor:
    ids, mask = tokens
    length = {"max_new_tokens": 5, "min_new_tokens": 5}
    return model.generate(
        ids, attention_mask=mask, do_sample=False, pad_token_id=0, **length, **options
    )


def assert_close(ours: Tensor, theirs: Tensor, mask: Tensor, *, tolerance: float = 5e-6) -> None:
    """Compare logits of real tokens, relative to the largest."""
    difference = (ours - theirs)[mask.bool()].float().abs().max()
    assert difference <= tolerance * theirs[mask.bool()].float().abs().max()


def cache_bytes(cache: Any) -> int:
    tensors = [tensor for layer in cache.layers for tensor in (layer.keys, layer.values)]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def test_every_known_model_type_is_proven(models: dict[str, Any]) -> None:
    assert {model_type for model_type, _ in models.values()} == set(known_architectures())


@torch.no_grad()
def test_converted_model_is_the_dense_one_with_shared_heads(case: Case, tokens: Tokens) -> None:
    ids, mask = tokens
    dense, weights = case.dense(), case.model.num_parameters()

    model = convert(case.model, case.plan)

    assert model is case.model
    assert_close(
        model(ids, attention_mask=mask).logits, dense(ids, attention_mask=mask).logits, mask
    )
    assert torch.equal(generate(model, tokens), generate(dense, tokens))
    spec = case.plan.model
    heads_saved = spec.num_stored_heads - case.plan.num_stored_heads
    row_size = spec.hidden_size + spec.has_kv_bias
    assert weights - model.num_parameters() == heads_saved * spec.head_dim * row_size


@torch.no_grad()
def test_cache_is_as_large_as_the_plan_promised(case: Case, tokens: Tokens) -> None:
    ids = tokens[0][:, -3:]  # fits into every sliding window

    model = convert(case.model, case.plan)

    cache = cache_of(model(ids, use_cache=True))
    assert cache_bytes(cache) == case.plan.kv_bytes_per_token * ids.numel()


@torch.no_grad()
def test_identity_plan_changes_nothing(case: Case, tokens: Tokens) -> None:
    ids, mask = tokens
    source = deepcopy(case.model)

    model = convert(case.model, case.identity())

    before, after = source.state_dict(), model.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(
        source(ids, attention_mask=mask).logits, model(ids, attention_mask=mask).logits
    )
    assert torch.equal(generate(source, tokens), generate(model, tokens))


def test_gradients_flow_to_shared_heads(case: Case, tokens: Tokens) -> None:
    model = convert(case.model, case.plan)

    model(tokens[0], labels=tokens[0]).loss.backward()

    names = case.checkpoint.architecture.key_value_modules()
    for layer in range(case.plan.model.num_layers):
        for template in names:
            module = model.get_submodule(case.checkpoint.module_name(template, layer))
            gradient = module.weight.grad
            assert gradient is not None
            assert gradient.shape == module.weight.shape
            assert gradient.isfinite().all()
            assert gradient.any()


@torch.no_grad()
def test_bfloat16(case: Case, tokens: Tokens) -> None:
    ids, mask = tokens
    dense = case.dense().bfloat16()

    model = convert(case.model.bfloat16(), case.plan)

    logits = model(ids, attention_mask=mask).logits
    assert logits.dtype == torch.bfloat16
    assert_close(logits, dense(ids, attention_mask=mask).logits, mask, tolerance=0.02)
    cache = cache_of(model(ids[:, -3:], use_cache=True))
    assert 2 * cache_bytes(cache) == case.plan.kv_bytes_per_token * 6


@torch.no_grad()
def test_folder_holds_the_same_model(case: Case, tokens: Tokens) -> None:
    out = case.folder / "converted"
    convert_checkpoint(str(case.folder), case.plan, out)
    live = convert(case.model, case.plan)

    loaded = load(out, attn_implementation="eager")

    assert type(loaded).__name__ == type(live).__name__
    ours, theirs = loaded.state_dict(), live.state_dict()
    assert set(ours) == set(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert torch.equal(loaded(tokens[0]).logits, live(tokens[0]).logits)


@pytest.mark.parametrize("name", ["llama-gqa", "gpt_neox", "olmo2"])
def test_saving_a_live_model_writes_a_whole_checkpoint(
    name: str, make_case: MakeCase, tokens: Tokens
) -> None:
    case = make_case(name)
    live = convert(case.model, case.plan)
    out = case.folder / "saved"

    live.save_pretrained(out)

    code = {path.name for path in Path(modeling_qcqa.__file__).parent.glob("*_qcqa.py")}
    assert {path.name for path in out.glob("*.py")} == code
    with torch.no_grad():
        assert torch.equal(
            load(out, attn_implementation="eager")(tokens[0]).logits, live(tokens[0]).logits
        )
