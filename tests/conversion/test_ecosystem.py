"""A converted model behaves like its stock twin in what transformers, peft and others do to it."""

import pickle
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel, StaticCache

from qcqa.conversion.folder import convert_checkpoint
from qcqa.conversion.live import convert
from qcqa.conversion.loading import load
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


def projections(case: Any) -> set[str]:
    """Return how a family calls the modules that make its keys and values."""
    templates = case.checkpoint.architecture.key_value_modules()
    return {template.rpartition(".")[2] for template in templates}


@pytest.mark.parametrize("name", KINDS)
def test_prefill_in_chunks_into_a_static_cache(
    name: str, make_case: MakeCase, tokens: Tokens
) -> None:
    case = make_case(name)
    dense, model = case.dense(), convert(case.model, case.plan)
    options = {
        "cache_implementation": "static",
        "prefill_chunk_size": 4,
        "disable_compile": True,
        "return_dict_in_generate": True,
    }

    written = generate(model, tokens, **options)

    assert torch.equal(written.sequences, generate(dense, tokens, **options).sequences)
    heads = [layer.keys.shape[1] for layer in cache_of(written).layers]
    assert heads == [layer.key.num_stored for layer in case.plan.pictures]


@pytest.mark.parametrize("name", KINDS)
@torch.no_grad()
def test_static_cache_that_was_allocated_by_the_config(
    name: str, make_case: MakeCase, tokens: Tokens
) -> None:
    """As for an export: with room for the source's heads, of which the last stay empty."""
    case = make_case(name)
    dense, model = case.dense(), convert(case.model, case.plan)
    spec = case.plan.model
    num_heads = spec.num_kv_heads if name != "falcon-gqa" else spec.num_query_heads
    logits = []
    for one in (dense, model):
        cache = StaticCache(config=one.config, max_cache_len=12)
        cache.early_initialization(2, num_heads, spec.head_dim, torch.float32, torch.device("cpu"))
        argument = {cache_argument(): cache}
        first = one(tokens[0][:, :5], **argument).logits
        logits.append(torch.cat((first, one(tokens[0][:, 5:], **argument).logits), dim=1))

    torch.testing.assert_close(logits[1], logits[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["llama", "llama-gqa", "olmo2"])
@pytest.mark.filterwarnings("ignore")  # of torch, which exports
@torch.no_grad()
def test_export_with_a_static_cache(name: str, make_case: MakeCase, tokens: Tokens) -> None:
    from transformers.integrations.executorch import TorchExportableModuleWithStaticCache

    case = make_case(name)
    model = convert(case.model, case.plan)
    token = tokens[0][:1, :1]
    expected = model(token).logits
    model.set_attn_implementation("sdpa")
    model.generation_config.cache_implementation = "static"
    model.generation_config.cache_config = {"batch_size": 1, "max_cache_len": 16}

    wrapped = TorchExportableModuleWithStaticCache(model, batch_size=1, max_cache_len=16)
    place = torch.tensor([0])
    exported = torch.export.export(wrapped, (), {"input_ids": token, "cache_position": place})

    logits = exported.module()(input_ids=token, cache_position=place)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", KINDS)
def test_cache_of_another_model_is_refused(name: str, make_case: MakeCase, tokens: Tokens) -> None:
    """A prefix that was trained for the source has its heads."""
    case = make_case(name)
    with torch.no_grad():
        of_source = cache_of(case.model(tokens[0], use_cache=True))
    model = convert(case.model, case.plan)

    with pytest.raises((ValueError, RuntimeError), match=r"holds . key heads; expected") as error:
        model(tokens[0][:, :1], **{cache_argument(): of_source})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # of peft
def test_low_rank_adapters(name: str, make_case: MakeCase, tokens: Tokens) -> None:
    peft = pytest.importorskip("peft")
    case = make_case(name)
    model = convert(case.model, case.plan)
    source = model(tokens[0]).logits
    settings = peft.LoraConfig(
        r=2,
        target_modules=sorted(projections(case)),
        init_lora_weights=False,
        fan_in_fan_out=case.checkpoint.architecture.transposed,
    )

    adapted = peft.get_peft_model(model, settings)

    logits = adapted(tokens[0]).logits
    logits.sum().backward()
    trained = [one for key, one in adapted.named_parameters() if "lora_" in key]
    assert trained
    assert all(one.grad is not None for one in trained)
    with torch.no_grad():
        assert not torch.allclose(logits, source, atol=1e-3)
        first = adapted(tokens[0][:, :5], use_cache=True)
        cache = {cache_argument(): cache_of(first)}
        rest = adapted(tokens[0][:, 5:], **cache)
        cached = torch.cat((first.logits, rest.logits), dim=1)
        torch.testing.assert_close(cached, logits, rtol=1e-4, atol=1e-4)
        merged = adapted.merge_and_unload()
        assert merged is model
        torch.testing.assert_close(merged(tokens[0]).logits, logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["llama", "llama-gqa", "opt", "gpt_neox", "phi3"])
@pytest.mark.filterwarnings("ignore")  # of bitsandbytes, about its kernels
def test_opening_in_four_bits(name: str, make_case: MakeCase, tokens: Tokens) -> None:
    library = pytest.importorskip("bitsandbytes")
    from transformers import BitsAndBytesConfig

    case = make_case(name)
    out = case.folder / "converted"
    convert_checkpoint(str(case.folder), case.plan, out)
    plain = load(out, attn_implementation="eager")

    quantized = load(
        out,
        attn_implementation="eager",
        device_map="cpu",
        quantization_config=BitsAndBytesConfig(load_in_4bit=True),
    )

    four_bits = [
        (key, module)
        for key, module in quantized.named_modules()
        if isinstance(module, library.nn.Linear4bit)
    ]
    assert {key.rpartition(".")[2] for key, _ in four_bits} >= projections(case)
    for key, module in four_bits:  # what it computes with, in the model as it was
        weight = library.functional.dequantize_4bit(module.weight, module.weight.quant_state)
        plain.get_submodule(key).weight.data.copy_(weight)
    # With gradients, as kernels for inference on a CPU are for sizes that tiny models do not have.
    ours, theirs = (one(tokens[0]).logits.float() for one in (quantized, plain))
    torch.testing.assert_close(ours, theirs, rtol=0.02, atol=0.02 * float(theirs.abs().max()))


@pytest.mark.parametrize("name", ["llama", "llama-gqa", "opt", "gpt_neox", "phi3"])
@pytest.mark.filterwarnings("ignore")  # of bitsandbytes, about types that it casts
@torch.no_grad()
def test_opening_in_eight_bits(name: str, make_case: MakeCase, tokens: Tokens) -> None:
    pytest.importorskip("bitsandbytes")
    from transformers import BitsAndBytesConfig

    case = make_case(name)
    out = case.folder / "converted"
    convert_checkpoint(str(case.folder), case.plan, out)
    quantized = load(
        out,
        attn_implementation="eager",
        device_map="cpu",
        quantization_config=BitsAndBytesConfig(load_in_8bit=True),
    )

    plain = load(out, attn_implementation="eager")
    ours, theirs = (one(tokens[0]).logits.float() for one in (quantized, plain))
    assert not torch.equal(ours, theirs)
    # Rounding of weights and of inputs, over all layers of a model with large random weights.
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0.15 * float(theirs.abs().max()))


@pytest.mark.parametrize("name", KINDS)
@torch.no_grad()
def test_pickled_and_copied(name: str, make_case: MakeCase, tokens: Tokens, tmp_path: Path) -> None:
    case = make_case(name)
    model = convert(case.model, case.plan)
    logits = model(tokens[0]).logits
    torch.save(model, tmp_path / "model.pt")

    for copy in (
        pickle.loads(pickle.dumps(model)),
        torch.load(tmp_path / "model.pt", weights_only=False),
        deepcopy(model),
    ):
        assert type(copy) is type(model)
        assert torch.equal(copy(tokens[0]).logits, logits)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.filterwarnings("ignore")  # of torch, which compiles
@torch.no_grad()
def test_compiled_in_one_graph(name: str, make_case: MakeCase, tokens: Tokens) -> None:
    case = make_case(name)
    model = convert(case.model, case.plan)
    logits = model(tokens[0]).logits

    # Without a compiler, which a machine that runs tests need not have: the graph is what counts.
    compiled = torch.compile(model, backend="eager", fullgraph=True)

    torch.testing.assert_close(compiled(tokens[0]).logits, logits, rtol=1e-4, atol=1e-5)
    torch._dynamo.reset()


@pytest.mark.parametrize("name", ["llama-gqa", "gpt2"])
def test_assisted_generation(name: str, make_case: MakeCase, tokens: Tokens) -> None:
    case = make_case(name)
    ids = tokens[0][1:]
    assistant, model = deepcopy(case.model), convert(case.model, case.plan)
    options = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0}

    text = model.generate(ids, **options)

    assert torch.equal(model.generate(ids, assistant_model=assistant, **options), text)
    source = assistant.generate(ids, **options)
    assert torch.equal(assistant.generate(ids, assistant_model=model, **options), source)


def test_continuous_batching_is_refused(make_case: MakeCase, tokens: Tokens) -> None:
    case = make_case("llama-gqa")
    model = convert(case.model, case.plan)

    with pytest.raises(ValueError, match="call generate with a batch"):
        model.generate_batch(inputs=tokens[0].tolist())


@pytest.mark.parametrize("name", ["llama", "gpt_neox", "gpt2"])
@torch.no_grad()
def test_offloaded_layers(name: str, make_case: MakeCase, tokens: Tokens, tmp_path: Path) -> None:
    accelerate = pytest.importorskip("accelerate")
    case = make_case(name)
    model = convert(case.model, case.plan)
    logits = model(tokens[0]).logits

    accelerate.disk_offload(model, str(tmp_path / "offload"), torch.device("cpu"))

    torch.testing.assert_close(model(tokens[0]).logits, logits, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_release_that_hides_its_cache_is_told(
    make_case: MakeCase, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = make_case("opt")
    model = convert(case.model, case.plan)
    monkeypatch.setattr(
        "qcqa.conversion.travelling.hooks_qcqa.SharedHeads._seen", lambda _self, it: it
    )

    with pytest.raises(RuntimeError, match=r"cached 6 heads, where . are shared: .* 5"):
        model(tokens[0], use_cache=True)


@pytest.mark.parametrize("name", KINDS)
@torch.no_grad()
def test_attention_takes_its_cache_in_any_way(name: str, make_case: MakeCase) -> None:
    """By whatever name, or by its place: what counts is what it is."""
    case = make_case(name)
    model = convert(case.model, case.plan)
    template = case.checkpoint.architecture.key_value_modules()[0]
    path = case.checkpoint.module_name(template, 1).rpartition(".")[0]
    attention = model.get_submodule(path)
    hook = next(iter(attention._forward_pre_hooks.values()))
    cache = DynamicCache(config=model.config)
    states = torch.zeros(1)

    args, kwargs = hook(attention, (states, cache), {"renamed": cache, "flag": True})

    assert [type(one).__name__ for one in args] == ["Tensor", "SharedCache"]
    assert type(kwargs["renamed"]).__name__ == "SharedCache"
    assert kwargs["flag"] is True
