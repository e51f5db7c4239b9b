import numpy as np
import pytest

from qcqa.search.front import Front, LayerCandidates, LowerBound


@pytest.fixture
def front():
    first = LayerCandidates.shared(
        np.array([[0, 0, 0], [0, 0, 1], [0, 1, 2]]), np.array([5, 2, 0.0])
    )
    second = LayerCandidates(
        key_labels=np.array([[0, 0, 0], [0, 1, 2]]),
        value_labels=np.array([[0, 0, 1], [0, 1, 2]]),
        error=np.array([3, 0.0]),
    )
    return Front("some", (first, second), np.array([[0, 0], [1, 0], [2, 1]]))


def test_costs_are_cached_heads_and_errors_add_up(front):
    assert front.layers[1].cost.tolist() == [3, 6]
    assert front.layer_cost.tolist() == [[2, 3], [4, 3], [6, 6]]
    assert front.cost.tolist() == [5, 7, 12]
    assert front.error.tolist() == [8, 5, 0]
    assert len(front) == 3


def test_the_best_plan_within_a_budget(front):
    assert front.within(4) is None
    assert [front.within(budget) for budget in (5, 6, 7, 11, 12, 99)] == [0, 0, 1, 1, 2, 2]


def test_a_plan_names_the_groupings_of_its_layers(front):
    first, second = front.groupings(1)
    assert first.key.labels == first.value.labels == (0, 0, 1)
    assert second.key.labels == (0, 0, 0)
    assert second.value.labels == (0, 0, 1)
    assert first.kv_bits + second.kv_bits == front.cost[1]


def test_a_bound_holds_for_all_plans_of_at_most_its_cost():
    bound = LowerBound(cost=np.array([4, 6, 8]), error=np.array([3.0, 1.0, 0.0]))
    assert bound.at(3) is None
    assert [bound.at(cost) for cost in (4, 5, 6, 7, 100)] == [3, 3, 1, 1, 0]
