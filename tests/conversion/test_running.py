"""Ways of running a converted model: attention implementations, caches, training, copies."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from qcqa.conversion.live import convert
from qcqa.text.running import cache_argument, cache_of

Tokens = tuple[Tensor, Tensor]
MakeCase = Callable[[str], Any]

#: One of each way in which families take keys and values.
KINDS = ["llama", "llama-gqa", "olmo2", "stablelm-norm", "opt", "gpt_neox", "gpt2", "falcon-gqa"]


def generate(model: PreTrainedModel, tokens: Tokens, **options: Any) -> Tensor:
    ids, mask = tokens
    length = {"max_new_tokens": 5, "min_new_tokens": 5}
    return model.generate(
        ids, attention_mask=mask, do_sample=False, pad_token_id=0, **length, **options
    )


@torch.no_grad()
def test_sdpa_agrees_with_the_dense_model(case: Any, tokens: Tokens) -> None:
    if not case.model._supports_sdpa:
        pytest.skip("transformers has no sdpa for this family")
    ids, mask = tokens
    dense, model = case.dense(), convert(case.model, case.plan)

    for one in (dense, model):
        one.set_attn_implementation("sdpa")

    theirs, ours = (one(ids, attention_mask=mask).logits[mask.bool()] for one in (dense, model))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=5e-6 * float(theirs.abs().max()))


@torch.no_grad()
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch, where flex is set up
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_flex_agrees_with_the_dense_model(case: Any, tokens: Tokens) -> None:
    if not case.model._supports_flex_attn:
        pytest.skip("transformers has no flex for this family")
    if case.model.config.model_type == "gpt_oss":
        pytest.skip("transformers has no flex with attention sinks on a CPU")
    ids, mask = tokens
    dense, model = case.dense(), convert(case.model, case.plan)

    for one in (dense, model):
        one.set_attn_implementation("flex_attention")

    # Not compiled, because a machine that runs tests need not have a compiler.
    with torch.compiler.set_stance("force_eager"):
        theirs, ours = (one(ids, attention_mask=mask).logits[mask.bool()] for one in (dense, model))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=5e-6 * float(theirs.abs().max()))


@pytest.mark.parametrize("name", KINDS)
def test_other_caches_and_none_give_the_same_text(
    name: str, make_case: MakeCase, tokens: Tokens
) -> None:
    case = make_case(name)
    dense = case.dense()
    model = convert(case.model, case.plan)

    text = generate(model, tokens)

    assert torch.equal(generate(model, tokens, use_cache=False), text)
    static = {"cache_implementation": "static", "disable_compile": True}
    assert torch.equal(generate(model, tokens, **static), text)
    beams = generate(model, tokens, num_beams=3)
    assert torch.equal(generate(dense, tokens, num_beams=3), beams)


@pytest.mark.parametrize("name", KINDS)
def test_training_sees_what_the_cache_gives_back(
    name: str, make_case: MakeCase, tokens: Tokens
) -> None:
    """Norms of a group's heads may drift apart in training; without a cache too only one counts."""
    case = make_case(name)
    model = convert(case.model, case.plan)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        model(tokens[0], labels=tokens[0]).loss.backward()
        optimizer.step()

    with torch.no_grad():
        cached, plain = (model(tokens[0], use_cache=use).logits for use in (True, False))
        torch.testing.assert_close(cached, plain, rtol=1e-4, atol=1e-4)
        first = model(tokens[0][:, :5], use_cache=True)
        cache = {cache_argument(): cache_of(first)}
        rest = model(tokens[0][:, 5:], **cache)
        whole = torch.cat((first.logits, rest.logits), dim=1)
    torch.testing.assert_close(whole, plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", KINDS)
def test_gradients_are_those_of_tied_dense_heads(
    name: str, make_case: MakeCase, tokens: Tokens
) -> None:
    """The gradient of a shared head is the sum over the heads of its group."""
    case = make_case(name)
    dense = case.dense()
    model = convert(case.model, case.plan)

    for one in (dense, model):
        one(tokens[0], labels=tokens[0]).loss.backward()

    names = case.checkpoint.architecture.modules
    output = case.checkpoint.module_name(names.output, 1)
    ours, theirs = (one.get_submodule(output).weight.grad for one in (model, dense))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-7)
    if names.value is not None:
        value = case.checkpoint.module_name(names.value, 1)
        ours, theirs = (one.get_submodule(value).weight.grad for one in (model, dense))
        picture = case.plan.pictures[1].value
        heads = theirs.reshape(picture.num_heads, -1, theirs.shape[1])
        tied = torch.cat([heads[list(group)].sum(0) for group in picture.readers])
        torch.testing.assert_close(ours, tied, rtol=1e-4, atol=1e-7)


@torch.no_grad()
@pytest.mark.parametrize("name", KINDS)
def test_a_copy_of_the_model_is_a_model_of_its_own(
    name: str, make_case: MakeCase, tokens: Tokens
) -> None:
    case = make_case(name)
    model = convert(case.model, case.plan)
    logits = model(tokens[0]).logits

    copy = deepcopy(model)

    for parameter in model.parameters():
        parameter.zero_()
    assert torch.equal(copy(tokens[0]).logits, logits)


def test_runs_in_inference_mode_first_and_trains_then(make_case: MakeCase, tokens: Tokens) -> None:
    case = make_case("opt")
    model = convert(case.model, case.plan)
    with torch.inference_mode():
        model(tokens[0])

    model(tokens[0], labels=tokens[0]).loss.backward()
