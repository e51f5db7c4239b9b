"""A converted copy beside its source: the source stays, and little memory is added."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from qcqa.conversion import live as live_conversion
from qcqa.conversion.live import convert, converted_copy, copy_with_one_layer
from qcqa.errors import PlanError
from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.groups.grouping import LayerGrouping
from qcqa.reduce.groups.merge.context import LayerContext
from qcqa.reduce.groups.merge.layer_weights import LayerWeights
from qcqa.reduce.groups.merge.mean import MeanMerge

MakeCase = Callable[[str], Any]
FAMILIES = ["llama", "opt", "gpt2", "gpt_neox", "olmo2", "stablelm-norm"]


class MergeOfEverything(MeanMerge):
    """Changes every tensor that a merge may change, queries and output in place as well."""

    needs = frozenset({"key", "value", "query", "output", "key_norm"})

    def __call__(
        self, weights: LayerWeights, grouping: LayerGrouping, context: LayerContext
    ) -> LayerWeights:
        for part in (weights.query, weights.output, weights.key, weights.value):
            assert part is not None
            part.mul_(1.5)
        return super().__call__(weights, grouping, context)


def snapshot(model: PreTrainedModel) -> dict[str, Tensor]:
    tensors = [*model.named_parameters(), *model.named_buffers()]
    return {name: tensor.detach().clone() for name, tensor in tensors}


def storages(model: PreTrainedModel) -> dict[str, int]:
    return {
        name: tensor.untyped_storage().data_ptr() for name, tensor in model.state_dict().items()
    }


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("merge", [MeanMerge(), MergeOfEverything()], ids=["mean", "everything"])
def test_the_source_is_unchanged_bit_for_bit(
    make_case: MakeCase, monkeypatch: pytest.MonkeyPatch, name: str, merge: MeanMerge
) -> None:
    monkeypatch.setattr(live_conversion, "merge_named", lambda _name: merge)
    case = make_case(name)
    before, config, kind = snapshot(case.model), case.model.config.to_dict(), type(case.model)
    ids = torch.arange(3, 11)[None]
    with torch.no_grad():
        logits = case.model(input_ids=ids).logits
        copy = converted_copy(case.model, case.plan)
        copy(input_ids=ids)
        assert torch.equal(case.model(input_ids=ids).logits, logits)
    after = snapshot(case.model)
    assert before.keys() == after.keys()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert case.model.config.to_dict() == config
    assert type(case.model) is kind


@pytest.mark.parametrize("name", FAMILIES)
def test_the_copy_is_what_conversion_makes(make_case: MakeCase, name: str) -> None:
    case = make_case(name)
    copy = converted_copy(case.model, case.plan)
    converted = convert(case.model, case.plan)
    assert copy.config.qcqa == converted.config.qcqa
    theirs = converted.state_dict()
    assert copy.state_dict().keys() == theirs.keys()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in copy.state_dict().items())


@pytest.mark.parametrize("name", FAMILIES)
def test_only_attention_that_shares_takes_new_memory(make_case: MakeCase, name: str) -> None:
    case = make_case(name)
    mine, theirs = storages(case.model), storages(converted_copy(case.model, case.plan))
    modules = case.checkpoint.architecture.modules.model_dump().values()
    attention = [template.rpartition(".")[2] for template in modules if template]
    left = [str(i) for i, layer in enumerate(case.plan.pictures) if not layer.shares]
    for parameter, place in mine.items():
        is_attention = any(f".{module}." in parameter for module in attention)
        # Fully connected layers have modules of the same names in some families.
        is_attention &= ".mlp." not in parameter
        number = next((part for part in parameter.split(".") if part.isdigit()), "")
        is_attention &= number not in left
        assert (theirs[parameter] == place) is not is_attention, parameter


def test_a_plan_for_other_weights_is_refused_and_nothing_is_changed(make_case: MakeCase) -> None:
    case = make_case("llama")
    before = snapshot(case.model)
    with pytest.raises(PlanError, match="fingerprint"):
        converted_copy(case.model, replace(case.plan, fingerprint="0" * 32))
    assert all(torch.equal(before[name], now) for name, now in snapshot(case.model).items())


@pytest.mark.parametrize("name", FAMILIES)
def test_one_layer_is_shared_as_by_a_plan_of_it_alone(make_case: MakeCase, name: str) -> None:
    case = make_case(name)
    before = snapshot(case.model)
    for layer, choice in enumerate(case.plan.layers):
        layers = tuple(
            choice if number == layer else LayerChoice() for number in range(len(case.plan.layers))
        )
        by_plan = snapshot(converted_copy(case.model, replace(case.plan, layers=layers)))
        copy = snapshot(copy_with_one_layer(case.model, layer, choice, case.plan.merge))
        assert copy.keys() == by_plan.keys()
        assert all(torch.equal(tensor, by_plan[name]) for name, tensor in copy.items())
    assert all(torch.equal(tensor, snapshot(case.model)[name]) for name, tensor in before.items())
