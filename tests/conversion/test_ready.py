"""A live model is looked at before its first layer is changed: a refusal leaves it as it was."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from qcqa.conversion.live import convert, converted_copy
from qcqa.errors import CalibrationError, CheckpointError, QCQAError, UnsupportedModelError

LAST = 2


@pytest.fixture
def llama(make_case: Callable[[str], Any]) -> Any:
    return make_case("llama")


def refusal(
    model: Any, change: Callable[[], object], kind: type[QCQAError] = UnsupportedModelError
) -> str:
    """Return the message of an error, once it is known that the model is exactly as it was."""
    inner = getattr(model, "base_model", model)
    runs = all(
        one.device.type == "cpu" and one.dtype == torch.float32 for one in model.parameters()
    )
    ids = torch.arange(3, 10)[None]
    before = model(ids)[0] if runs else None
    weights = {name: one.clone() for name, one in model.state_dict().items()}
    classes = [type(one) for one in model.modules()]
    config = inner.config.to_dict()
    with pytest.raises(kind) as caught:
        change()
    assert [type(one) for one in model.modules()] == classes
    assert inner.config.to_dict() == config
    now = model.state_dict()
    assert now.keys() == weights.keys()
    if before is not None:
        assert all(torch.equal(one, now[name]) for name, one in weights.items())
        assert torch.equal(model(ids)[0], before)
    message = str(caught.value)
    assert "\n" not in message
    return message


def last_attention(model: Any) -> Any:
    return model.model.layers[LAST].self_attn


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": ["k_proj", "v_proj"]},
        {"target_modules": ["q_proj"]},
        {"target_modules": ["down_proj"]},
        {"target_modules": ["v_proj"], "layers_to_transform": [LAST]},
    ],
    ids=str,
)
def test_adapters_added_to_the_model(llama: Any, settings: dict[str, Any]) -> None:
    peft = pytest.importorskip("peft")
    # What transformers' add_adapter does.
    peft.inject_adapter_in_model(
        peft.LoraConfig(r=4, init_lora_weights=False, **settings), llama.model
    )
    message = refusal(llama.model, lambda: convert(llama.model, llama.plan))
    assert "has adapters in it (model.layers." in message
    assert "merge_and_unload" in message


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "target"), [("llama", "v_proj"), ("gpt2", "c_attn"), ("gpt_neox", "query_key_value")]
)
def test_model_inside_one_of_peft(make_case: Callable[[str], Any], name: str, target: str) -> None:
    peft = pytest.importorskip("peft")
    case = make_case(name)
    config = peft.LoraConfig(r=4, target_modules=[target], fan_in_fan_out=name == "gpt2")
    wrapped = peft.get_peft_model(case.model, config)
    message = refusal(wrapped, lambda: convert(wrapped, case.plan))
    assert "has adapters in it" in message
    merged = wrapped.merge_and_unload()
    assert convert(merged, case.plan) is merged


def with_integers(model: Any) -> None:
    last_attention(model).v_proj.weight = nn.Parameter(
        torch.ones(48, 48, dtype=torch.int8), requires_grad=False
    )


def with_eight_bit_floats(model: Any) -> None:
    weight = last_attention(model).k_proj.weight.detach()
    last_attention(model).k_proj.weight = nn.Parameter(
        weight.to(torch.float8_e4m3fn), requires_grad=False
    )


class Packed(Tensor):
    """A tensor that says it is float32 and may be anything, as quantizers have them."""


def with_a_tensor_of_its_own_kind(model: Any) -> None:
    weight = last_attention(model).o_proj.weight.detach()
    last_attention(model).o_proj.weight = nn.Parameter(weight.as_subclass(Packed))


def with_packed_buffers(model: Any) -> None:
    projection = nn.Module()
    projection.register_buffer("qweight", torch.ones(6, 48, dtype=torch.int32))
    projection.register_buffer("qzeros", torch.ones(1, 6, dtype=torch.int32))
    last_attention(model).k_proj = projection


def with_torchs_own(model: Any) -> None:
    attention = last_attention(model)
    attention.v_proj = torch.ao.quantization.quantize_dynamic(
        nn.Sequential(attention.v_proj), {nn.Linear}, dtype=torch.qint8
    )[0]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "quantize",
    [
        with_integers,
        with_eight_bit_floats,
        with_a_tensor_of_its_own_kind,
        with_packed_buffers,
        with_torchs_own,
    ],
)
def test_one_quantized_layer(llama: Any, quantize: Callable[[Any], None]) -> None:
    first = llama.model.model.layers[0].self_attn.k_proj.weight.clone()
    quantize(llama.model)
    with pytest.raises(UnsupportedModelError) as caught:
        convert(llama.model, llama.plan)
    assert "without quantization" in str(caught.value)
    assert type(llama.model).__name__ == "LlamaForCausalLM"
    assert not hasattr(llama.model.config, "qcqa")
    assert torch.equal(llama.model.model.layers[0].self_attn.k_proj.weight, first)


@pytest.mark.filterwarnings("ignore")
def test_model_in_four_bits(llama: Any) -> None:
    pytest.importorskip("bitsandbytes")
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    model = AutoModelForCausalLM.from_pretrained(
        llama.folder,
        quantization_config=BitsAndBytesConfig(
            load_in_4bit=True, llm_int8_skip_modules=["model.layers.0", "lm_head"]
        ),
        device_map="cpu",
    )
    with pytest.raises(UnsupportedModelError, match="without quantization"):
        convert(model, llama.plan)


def test_one_layer_that_is_not_in_memory(llama: Any) -> None:
    last_attention(llama.model).v_proj.to("meta")
    message = refusal(llama.model, lambda: convert(llama.model, llama.plan))
    assert "on meta (model.layers.2.self_attn.v_proj.weight)" in message
    assert "without device_map" in message


@pytest.mark.filterwarnings("ignore")
def test_offloaded_model(llama: Any) -> None:
    accelerate = pytest.importorskip("accelerate")
    model = accelerate.cpu_offload(llama.model, execution_device="cpu")
    ids = torch.arange(3, 10)[None]
    before = model(ids).logits
    message = refusal(model, lambda: convert(model, llama.plan))
    assert "offloaded" in message
    assert torch.equal(model(ids).logits, before)


@pytest.mark.filterwarnings("ignore")
def test_wrapped_model(llama: Any) -> None:
    for wrapped in (torch.compile(llama.model), nn.DataParallel(llama.model)):
        message = refusal(llama.model, lambda one=wrapped: convert(one, llama.plan))
        assert f"is a {type(wrapped).__name__}" in message
        assert "the model inside it" in message


@pytest.mark.parametrize(
    "auto", [AutoModel, AutoModelForSequenceClassification, AutoModelForTokenClassification]
)
@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma", "gpt_neox"])
def test_model_without_a_language_model_head(
    make_case: Callable[[str], Any], name: str, auto: Any
) -> None:
    case = make_case(name)
    model = auto.from_config(case.model.config).eval()
    for act in (convert, converted_copy):
        message = refusal(model, lambda act=act: act(model, case.plan))
        assert f"no language-model head (it is a {type(model).__name__})" in message


def test_every_language_model_has_a_head(case: Any) -> None:
    assert convert(case.model, case.identity()) is case.model


def test_last_layer_of_another_shape(llama: Any) -> None:
    last_attention(llama.model).k_proj = nn.Linear(48, 24)
    with pytest.raises(UnsupportedModelError, match=r"has shape \(24, 48\).* in every layer"):
        convert(llama.model, llama.plan)
    assert type(llama.model).__name__ == "LlamaForCausalLM"
    assert llama.model.model.layers[1].self_attn.k_proj.weight.shape == (48, 48)


def test_last_layer_without_biases(llama: Any) -> None:
    last_attention(llama.model).v_proj.bias = None
    message = refusal(llama.model, lambda: convert(llama.model, llama.plan))
    assert "v_proj.bias" in message
    assert "is missing" in message


def test_last_layer_with_a_norm_of_another_kind(make_case: Callable[[str], Any]) -> None:
    case = make_case("olmo2")
    norm = last_attention(case.model).k_norm
    norm.weight = nn.Parameter(torch.ones(5))
    with pytest.raises(UnsupportedModelError, match=r"k_norm.weight .* has shape \(5,\)"):
        convert(case.model, case.plan)
    assert type(case.model).__name__ == "Olmo2ForCausalLM"
    assert case.model.model.layers[1].self_attn.k_proj.weight.shape == (24, 48)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_last_layer_with_weights_that_are_no_numbers(llama: Any, bad: float) -> None:
    with torch.no_grad():
        last_attention(llama.model).v_proj.weight[9, 2] = bad
    with pytest.raises(CheckpointError, match=r"value weights of layer 2 .* NaN or infinite"):
        convert(llama.model, llama.plan)
    assert type(llama.model).__name__ == "LlamaForCausalLM"
    assert llama.model.model.layers[1].self_attn.k_proj.weight.shape == (48, 48)


def test_moments_that_end_early(llama: Any) -> None:
    def moments(layer: int) -> Tensor:
        if layer == LAST:
            raise CalibrationError("moment-002.safetensors cannot be read")
        return torch.eye(49, dtype=torch.float64)

    message = refusal(
        llama.model, lambda: convert(llama.model, llama.plan, moments=moments), CalibrationError
    )
    assert "cannot be read" in message


def test_moments_of_another_model(llama: Any) -> None:
    def moments(layer: int) -> Tensor:
        return torch.eye(49 if layer < LAST else 33, dtype=torch.float64)

    message = refusal(
        llama.model, lambda: convert(llama.model, llama.plan, moments=moments), CheckpointError
    )
    assert "layer 2 has shape (33, 33); expected (49, 49)" in message
