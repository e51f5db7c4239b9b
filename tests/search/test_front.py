import numpy as np
import pytest

from qcqa.reduce.choice import LayerChoice
from qcqa.search.front import Front, LowerBound

#: Bits per token of one head of four elements.
HEAD = 64


@pytest.fixture
def front(layer_of):
    labels = [[0, 0, 0], [0, 0, 1], [0, 1, 2]]
    first = layer_of(labels, labels, [5, 2, 0])
    second = layer_of([[0, 0, 0], [0, 1, 2]], [[0, 0, 1], [0, 1, 2]], [3, 0])
    return Front("some", (first, second), np.array([[0, 0], [1, 0], [2, 1]]))


def test_costs_are_bits_per_token_and_errors_add_up(front):
    assert front.layers[1].cost.tolist() == [3 * HEAD, 6 * HEAD]
    assert (front.layer_cost // HEAD).tolist() == [[2, 3], [4, 3], [6, 6]]
    assert front.cost.tolist() == [5 * HEAD, 7 * HEAD, 12 * HEAD]
    keys, values = front.stored_heads.tolist()
    assert keys == [[1, 1], [2, 1], [3, 3]]
    assert values == [[1, 2], [2, 2], [3, 3]]
    assert front.error.tolist() == [8, 5, 0]
    assert len(front) == 3


def test_the_best_plan_within_a_budget(front):
    assert front.within(5 * HEAD - 1) is None
    budgets = (5, 6, 7, 11, 12, 99)
    assert [front.within(budget * HEAD) for budget in budgets] == [0, 0, 1, 1, 2, 2]


def test_a_plan_names_the_groupings_of_its_layers(front):
    first, second = (layer.picture(3) for layer in front.plan_layers(1))
    assert first.key.reads == first.value.reads == (0, 0, 1)
    assert second.key.reads == (0, 0, 0)
    assert second.value.reads == (0, 0, 1)
    assert HEAD * (first.num_stored_heads + second.num_stored_heads) == front.cost[1]
    assert front.plan_layers(2) == (LayerChoice(), LayerChoice())


def test_a_bound_holds_for_all_plans_of_at_most_its_cost():
    bound = LowerBound(cost=np.array([4, 6, 8]), error=np.array([3.0, 1.0, 0.0]))
    assert bound.at(3) is None
    assert [bound.at(cost) for cost in (4, 5, 6, 7, 100)] == [3, 3, 1, 1, 0]
