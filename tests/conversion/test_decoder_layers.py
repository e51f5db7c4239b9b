"""For each family: a chain of its layers, called one by one, is the model."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import DynamicCache

from qcqa.conversion.live import converted_copy
from qcqa.conversion.names import attention_names
from qcqa.errors import EvaluationError
from qcqa.text.decoder import Decoder
from qcqa.text.layer_calls import record_calls

Case = Any


@torch.no_grad()
def test_layers_one_by_one_are_the_model(case: Case, tokens: tuple[Tensor, Tensor]) -> None:
    ids = tokens[0]
    wanted = case.model(input_ids=ids, use_cache=False).logits
    decoder = Decoder(case.model)
    hidden = decoder.embed(ids)
    for layer in range(decoder.num_layers):
        hidden = decoder.step(layer, hidden)
        torch.testing.assert_close(decoder.logits_after(layer, hidden), wanted)


@torch.no_grad()
def test_a_layer_attends_to_what_the_cache_in_its_call_hands_back(
    case: Case, tokens: tuple[Tensor, Tensor]
) -> None:
    decoder = Decoder(case.model)
    hidden = decoder.embed(tokens[0])
    for layer in range(decoder.num_layers):
        plain, cache = decoder.step(layer, hidden), DynamicCache()
        torch.testing.assert_close(decoder.step(layer, hidden, cache=cache), plain, rtol=0, atol=0)
        assert cache.layers[layer].keys.shape[-2] == tokens[0].shape[1]
        for emptied in ("keys", "values"):
            moved = decoder.step(layer, hidden, cache=_Emptied(emptied))
            assert not torch.allclose(moved, plain)
        hidden = plain


@torch.no_grad()
def test_the_attention_alone_is_what_the_layer_makes(
    case: Case, tokens: tuple[Tensor, Tensor]
) -> None:
    decoder = Decoder(case.model)
    hidden = decoder.embed(tokens[0])
    for layer in range(decoder.num_layers):
        seen: list[tuple[Tensor, Tensor]] = []
        handle = decoder.output_projection(layer).register_forward_hook(
            lambda _module, args, output, seen=seen: seen.append((args[0], output))
        )
        after = decoder.step(layer, hidden)
        handle.remove()
        made = decoder.attend(layer, hidden)
        ((read, output),) = seen
        torch.testing.assert_close(made.read, read.reshape(made.read.shape), rtol=0, atol=0)
        torch.testing.assert_close(made.output, output.reshape(hidden.shape), rtol=0, atol=0)
        hidden = after


@pytest.mark.parametrize(
    ("name", "adds"),
    [("llama", True), ("gpt2", True), ("opt", True), ("gpt_neox", False), ("olmo2", False)],
)
def test_an_attention_can_mend_the_hidden_state_where_it_is_added_to_it(
    make_case: Callable[[str], Case], tokens: tuple[Tensor, Tensor], name: str, adds: bool
) -> None:
    decoder = Decoder(make_case(name).model)
    with torch.no_grad():
        hidden = decoder.embed(tokens[0])
    assert decoder.adds_attention(0, hidden) is adds


@torch.no_grad()
def test_a_layer_that_is_handed_no_cache_is_refused(make_case: Callable[[str], Case]) -> None:
    decoder = Decoder(make_case("llama").model)
    calls = record_calls(decoder.model, decoder.layers, torch.zeros(1, 4).long(), with_cache=False)
    with pytest.raises(EvaluationError, match="LlamaDecoderLayer is handed no cache"):
        calls[0].repeat(decoder.layers[0], torch.zeros(1, 4, 48), DynamicCache())


class _Emptied(DynamicCache):
    """Hands back zeros for keys, or for values."""

    def __init__(self, emptied: str):
        super().__init__()
        self.emptied = emptied

    def update(self, keys: Tensor, values: Tensor, *args: Any, **kwargs: Any) -> Any:
        keys, values = super().update(keys, values, *args, **kwargs)
        return (keys * 0, values) if self.emptied == "keys" else (keys, values * 0)


@torch.no_grad()
def test_a_converted_models_layers_are_called_as_the_sources(
    case: Case, tokens: tuple[Tensor, Tensor]
) -> None:
    ids = tokens[0]
    merged = converted_copy(case.model, case.plan)
    teacher, student = Decoder(case.model), Decoder(merged)
    hidden = teacher.embed(ids)
    for layer in range(teacher.num_layers):
        hidden = teacher.step(layer, hidden, by=student)
    wanted = merged(input_ids=ids, use_cache=False).logits
    torch.testing.assert_close(teacher.logits_after(teacher.num_layers - 1, hidden), wanted)


def test_every_projection_has_a_name(case: Case) -> None:
    names = attention_names(case.model)
    assert len(names.layers) == case.checkpoint.spec.num_layers
    for layer, roles in enumerate(names.projections):
        assert "output" in roles
        assert {"key", "value", "query"} <= set(roles) or "fused" in roles
        for module in names.merged_modules(layer):
            assert list(case.model.get_submodule(module).parameters())
