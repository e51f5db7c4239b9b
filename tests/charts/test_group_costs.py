"""What merging a group costs agrees with the weights themselves."""

from math import isnan

import numpy as np
import pytest

from qcqa.charts.layers.group_costs import group_cost_table, layer_cost_table
from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.groups.costs import layer_cost, layer_costs
from qcqa.reduce.groups.gram import HeadGram, gram_of_heads, head_similarity
from qcqa.reduce.groups.grouping import Grouping, LayerGrouping
from qcqa.reduce.groups.wse import grouping_wse
from qcqa.reduce.terms import Kind

NUM_HEADS = 6
GROUPING = Grouping.from_groups([[0, 2, 5], [1], [3, 4]], NUM_HEADS)


@pytest.fixture
def heads() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {
        kind: rng.normal(size=(NUM_HEADS, 4, 8)).astype(np.float32) for kind in ("key", "value")
    }


@pytest.fixture
def gram(heads: dict[str, np.ndarray]) -> HeadGram:
    return HeadGram(key=gram_of_heads(heads["key"]), value=gram_of_heads(heads["value"]))


@pytest.mark.parametrize("kind", ["key", "value", "shared"])
def test_groups_cost_what_their_heads_are_from_their_mean(
    heads: dict[str, np.ndarray], gram: HeadGram, kind: Kind
) -> None:
    weights = np.concatenate(list(heads.values()), axis=1) if kind == "shared" else heads[kind]
    cost = layer_cost(gram, GROUPING, kind)
    for group in cost.groups:
        members = weights[list(group.heads)].astype(np.float64)
        expected = ((members - members.mean(axis=0)) ** 2).sum()
        assert group.wse == pytest.approx(expected, rel=1e-5)
        assert group.saved_heads == (2 if kind == "shared" else 1) * (len(members) - 1)
    assert cost.wse == pytest.approx(sum(group.wse for group in cost.groups))
    assert sum(group.share for group in cost.groups) == pytest.approx(1)
    assert cost.relative_wse == pytest.approx(cost.wse / (weights.astype(np.float64) ** 2).sum())


def test_neighbours_are_blocks_as_even_as_can_be(gram: HeadGram) -> None:
    even = Grouping.from_groups([[0, 5], [1, 4], [2, 3]], NUM_HEADS)
    cost = layer_cost(gram, even, "key")
    blocks = Grouping.contiguous(NUM_HEADS, 3)
    assert cost.neighbours_wse == pytest.approx(grouping_wse(gram.key, blocks))
    assert cost.lower_bound <= cost.wse
    four = Grouping.from_groups([[0, 5, 1], [4], [2], [3]], NUM_HEADS)
    blocks = Grouping.from_groups([[0, 1], [2], [3, 4], [5]], NUM_HEADS)
    assert layer_cost(gram, four, "key").neighbours_wse == pytest.approx(
        grouping_wse(gram.key, blocks)
    )


def test_similarity_is_the_mean_cosine_of_the_pairs(
    heads: dict[str, np.ndarray], gram: HeadGram
) -> None:
    flat = heads["key"].reshape(NUM_HEADS, -1).astype(np.float64)
    unit = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    np.testing.assert_allclose(head_similarity(gram.key), unit @ unit.T, atol=1e-6)
    groups = layer_cost(gram, GROUPING, "key").groups
    pairs = [unit[a] @ unit[b] for a, b in ((0, 2), (0, 5), (2, 5))]
    assert groups[0].similarity == pytest.approx(np.mean(pairs), abs=1e-6)
    assert isnan(groups[1].similarity)


def test_a_head_of_zeros_is_like_no_other() -> None:
    heads = np.zeros((3, 8), dtype=np.float32)
    heads[1:] = 2.0
    expected = [[1, 0, 0], [0, 1, 1], [0, 1, 1]]
    np.testing.assert_allclose(head_similarity(gram_of_heads(heads)), expected)


def test_keys_and_values_apart_are_two_costs(gram: HeadGram) -> None:
    alike = layer_costs(gram, LayerGrouping.shared(GROUPING).choice)
    apart = layer_costs(gram, LayerGrouping(GROUPING, Grouping.contiguous(NUM_HEADS, 2)).choice)
    assert [cost.kind for cost in alike] == ["shared"]
    assert [cost.kind for cost in apart] == ["key", "value"]
    assert group_cost_table(apart)["of"].tolist() == ["keys"] * 2 + ["values"] * 2


def test_tables_list_what_is_merged_the_dearest_first(gram: HeadGram) -> None:
    costs = layer_costs(gram, LayerGrouping.shared(GROUPING).choice)
    table = group_cost_table(costs)
    assert table["heads"].tolist() == ["0, 2, 5", "3, 4"]
    assert table["saved"].tolist() == [4, 2]
    assert table["WSE"].is_monotonic_decreasing
    (row,) = layer_cost_table(costs).to_dict("records")
    assert row["groups"] == 3
    assert row["lower bound, %"] <= 0
    assert costs[0].wse * (1 + row["neighbours instead, %"] / 100) == pytest.approx(
        costs[0].neighbours_wse
    )


def test_a_layer_that_is_kept_loses_nothing(gram: HeadGram) -> None:
    costs = layer_costs(gram, LayerChoice())
    assert costs[0].wse == 0
    assert group_cost_table(costs).empty
    assert layer_cost_table(costs)["neighbours instead, %"].isna().all()
