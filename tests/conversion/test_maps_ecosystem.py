"""Models that cache latents behave like others in what peft, accelerate and torch do to them."""

import pickle
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
from qcqa.text.running import cache_argument, cache_of

Tokens = tuple[Tensor, Tensor]

KINDS = ["llama-gqa", "gptj", "opt", "gpt_neox", "gpt2", "falcon-gqa"]


@pytest.fixture(params=KINDS)
def model(
    request: pytest.FixtureRequest, make_case: Callable[[str], Any], latent_plan: Any
) -> PreTrainedModel:
    """Return a converted model of each kind in turn."""
    case = make_case(request.param)
    return convert(case.model, latent_plan(case.folder, 0.5))


@torch.no_grad()
def in_two_calls(model: Any, ids: Tensor) -> Tensor:
    first = model(ids[:, :5], use_cache=True)
    rest = model(ids[:, 5:], **{cache_argument(): cache_of(first)})
    return torch.cat((first.logits, rest.logits), dim=1)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # of peft
def test_low_rank_adapters(model: PreTrainedModel, tokens: Tokens) -> None:
    peft = pytest.importorskip("peft")
    model(tokens[0])  # hooks what makes heads
    projections = {
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if any(type(hook).__name__ == "Spread" for hook in module._forward_hooks.values())
    }
    settings = peft.LoraConfig(
        r=2,
        target_modules=sorted(projections),
        init_lora_weights=False,
        fan_in_fan_out=model.config.model_type == "gpt2",
    )
    adapted = peft.get_peft_model(model, settings)
    logits = adapted(tokens[0]).logits
    logits.sum().backward()
    trained = [one for key, one in adapted.named_parameters() if "lora_" in key]
    assert trained
    assert all(one.grad is not None for one in trained)
    torch.testing.assert_close(in_two_calls(adapted, tokens[0]), logits, rtol=1e-4, atol=1e-4)
    merged = adapted.merge_and_unload()
    torch.testing.assert_close(merged(tokens[0]).logits, logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(in_two_calls(merged, tokens[0]), logits, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_pickled_and_copied(model: PreTrainedModel, tokens: Tokens) -> None:
    logits = model(tokens[0]).logits
    for copy in (pickle.loads(pickle.dumps(model)), deepcopy(model)):
        assert torch.equal(copy(tokens[0]).logits, logits)
        for name, buffer in copy.named_buffers():
            buffer.zero_() if "qcqa" in name else None
        assert not torch.allclose(copy(tokens[0]).logits, logits, atol=1e-3)
        assert torch.equal(model(tokens[0]).logits, logits)


@pytest.mark.filterwarnings("ignore")  # of torch, which compiles
@torch.no_grad()
def test_compiled_in_one_graph(model: PreTrainedModel, tokens: Tokens) -> None:
    logits = model(tokens[0]).logits
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(tokens[0]).logits, logits, rtol=1e-4, atol=1e-5)
    torch._dynamo.reset()


@torch.no_grad()
def test_offloaded_layers(model: PreTrainedModel, tokens: Tokens, tmp_path: Path) -> None:
    accelerate = pytest.importorskip("accelerate")
    logits = model(tokens[0]).logits
    accelerate.disk_offload(
        model, str(tmp_path / "offload"), torch.device("cpu"), offload_buffers=True
    )
    torch.testing.assert_close(model(tokens[0]).logits, logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(in_two_calls(model, tokens[0]), logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["llama-gqa", "gptj"])
@torch.no_grad()
def test_runs_in_bfloat16(
    name: str, make_case: Callable[[str], Any], latent_plan: Any, tokens: Tokens
) -> None:
    case = make_case(name)
    plan = latent_plan(case.folder, 0.5)
    convert_checkpoint(str(case.folder), plan, case.folder / "out")
    whole = load(case.folder / "out")(tokens[0]).logits
    half = load(case.folder / "out", dtype=torch.bfloat16)
    assert {layer.keys.dtype for layer in cache_of(half(tokens[0])).layers} == {torch.bfloat16}
    rounded = in_two_calls(half, tokens[0]).float()
    torch.testing.assert_close(rounded, whole, rtol=0.1, atol=0.05 * float(whole.abs().max()))
