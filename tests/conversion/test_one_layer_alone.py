"""For each family: one layer alone merged, in the chain of layers, is a model with that plan."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from qcqa.conversion.live import converted_copy
from qcqa.reduce.choice import LayerChoice
from qcqa.text.layer_meter import LayerMeter
from qcqa.text.scoring import Query

Case = Any


@torch.no_grad()
def test_divergences_are_those_of_whole_models(case: Case, tokens: tuple[Tensor, Tensor]) -> None:
    ids = tokens[0]
    # Of unequal lengths: the shorter one is padded.
    rows = [tuple(ids[0].tolist()), tuple(ids[1].tolist()[:-2])]
    windows = [Query(row, row[1:]) for row in rows]
    num_layers = len(case.plan.layers)
    passes: list[int | None] = []

    meter = LayerMeter(case.model, converted_copy(case.model, case.plan))
    kl, is_same = meter(windows, range(num_layers), passes.append)

    assert passes == [None, *range(num_layers)]
    for layer in range(num_layers):
        choices = [LayerChoice()] * num_layers
        choices[layer] = case.plan.layers[layer]
        model = converted_copy(case.model, replace(case.plan, layers=tuple(choices)))
        expected, same = [], []
        for row in rows:
            p, q = (
                one(torch.tensor([row]), use_cache=False).logits[0, 1:].double().log_softmax(-1)
                for one in (case.model, model)
            )
            expected += (p.exp() * (p - q)).sum(-1).tolist()
            same += (p.argmax(-1) == q.argmax(-1)).tolist()
        assert kl[layer] == pytest.approx(expected, abs=2e-4, rel=2e-3)
        assert is_same[layer].tolist() == same
