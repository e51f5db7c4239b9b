"""For each family: a chain of its layers, called one by one, is the model."""

from typing import Any

import torch
from torch import Tensor

from qcqa.conversion.live import converted_copy
from qcqa.conversion.names import attention_names
from qcqa.text.decoder import Decoder

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
