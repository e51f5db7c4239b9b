"""The chart of two plans' differences marks the cells whose heads share with others."""

from dataclasses import replace

import numpy as np
import pytest

from qcqa.charts.layers.differences import difference_figure, difference_table, plan_difference
from qcqa.errors import PlanError
from qcqa.pick.plan import plan_of_result
from qcqa.search.result import SearchResult

#: Bits per token of one head of the model: 4 elements of 16 bits.
HEAD = 64


def test_cells_are_those_whose_partners_differ(result: SearchResult) -> None:
    one, other = (plan_of_result(result, 24 * HEAD, method=name) for name in ("optimal", "gqa"))
    difference = plan_difference(one, other)
    assert difference.key.shape == (3, 8)
    for layer in range(3):
        groups = [plan.pictures[layer].key for plan in (one, other)]
        for head in range(8):
            here, there = (set(one.readers[one.reads[head]]) for one in groups)
            assert difference.key[layer, head] == (here != there)
    figure = difference_figure(one, other)
    assert np.array_equal(figure.data[0].z, difference.key)
    table = difference_table(difference)
    assert table["heads that differ"].tolist() == difference.key.sum(axis=1).tolist()
    assert [f"{n}/8" for n in table["heads that differ"]] == list(figure.data[1].text)
    assert str(difference.key.sum()) in difference.sentence


def test_a_plan_does_not_differ_from_itself(result: SearchResult) -> None:
    plan = plan_of_result(result, 24 * HEAD, method="optimal")
    difference = plan_difference(plan, plan)
    assert not difference.key.any()
    assert "alike" in difference.sentence


def test_keys_and_values_apart_get_a_grid_each(with_best: SearchResult) -> None:
    one, other = (plan_of_result(with_best, 24 * HEAD, method=name) for name in ("best", "gqa"))
    assert any(layer.key != layer.value for layer in one.layers)
    figure = difference_figure(one, other)
    assert [note.text for note in figure.layout.annotations] == ["Keys", "Values"]
    difference = plan_difference(one, other)
    assert f"values of {difference.value.sum()}" in difference.sentence
    assert {"which keys", "which values"} <= set(difference_table(difference).columns)


def test_plans_of_other_models_are_refused(result: SearchResult) -> None:
    plan = plan_of_result(result, 24 * HEAD, method="gqa")
    smaller = replace(plan, model=replace(plan.model, num_layers=2), layers=plan.layers[:2])
    with pytest.raises(PlanError, match="3 layers of 8 KV heads and for 2 layers"):
        plan_difference(plan, smaller)
