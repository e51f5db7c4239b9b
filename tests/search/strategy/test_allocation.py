import itertools

import numpy as np
import pytest

from qcqa.reduce.candidates import Slot
from qcqa.reduce.groups.search.candidates import GroupCandidates
from qcqa.search.strategy.allocation import allocate
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.fronts import best_front, front_of
from qcqa.search.strategy.pareto import nondominated


def _random_layers(seed, *, unit=1):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 6, size=4)
    costs = [rng.integers(1, 9, size=size) * unit for size in sizes]
    errors = [np.round(rng.random(size), 2) for size in sizes]
    return costs, errors


def _by_brute_force(costs, errors):
    plans = list(itertools.product(*(range(len(cost)) for cost in costs)))
    cost = np.array([sum(c[i] for c, i in zip(costs, plan, strict=True)) for plan in plans])
    error = np.array([sum(e[i] for e, i in zip(errors, plan, strict=True)) for plan in plans])
    return cost, error


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("unit", [1, 2])
def test_the_front_of_all_budgets_equals_brute_force(seed, unit):
    costs, errors = _random_layers(seed, unit=unit)
    all_cost, all_error = _by_brute_force(costs, errors)
    expected = nondominated(all_cost, np.round(all_error, 6))
    cost, error, _ = allocate(costs, errors)
    kept = nondominated(cost, np.round(error, 6))
    assert cost[kept].tolist() == all_cost[expected].tolist()
    np.testing.assert_allclose(error[kept], all_error[expected], atol=1e-9)
    assert (np.diff(cost) > 0).all()


@pytest.mark.parametrize("seed", range(5))
def test_the_choices_cost_what_they_promise(seed):
    costs, errors = _random_layers(seed)
    cost, error, choices = allocate(costs, errors)
    picked = range(len(costs))
    assert (sum(costs[layer][choices[:, layer]] for layer in picked) == cost).all()
    np.testing.assert_allclose(sum(errors[layer][choices[:, layer]] for layer in picked), error)


def test_fronts_are_sorted_and_none_of_their_plans_is_dominated(make_spec):
    spec = make_spec(2, 4)
    labels = np.array([[0, 0, 0, 0], [0, 0, 1, 1], [0, 1, 2, 3]])
    layers = [
        GroupCandidates(Slot(layer), labels, np.array(errors), total=None).candidates(spec)
        for layer, errors in enumerate(([9, 4, 0.0], [3, 2.5, 0.0]))
    ]
    every = np.array(list(itertools.product(range(3), range(3))))
    front = front_of("some", layers, every, SearchSettings(), 4)
    best = best_front("some", layers, SearchSettings(), 4)
    assert front.cost.tolist() == best.cost.tolist()
    assert front.error.tolist() == best.error.tolist()
    assert front.cost[0] == 4 * spec.head_bits
    assert front.cost[-1] == spec.kv_bits
    assert front.error[-1] == 0
    assert (np.diff(front.cost) > 0).all()
    assert (np.diff(front.error) < 0).all()


def test_costs_of_many_digits_lose_less_than_a_unit_for_each_layer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(3)
    costs = [np.sort(rng.choice(10**6, 12, replace=False)) + 1 for _ in range(20)]
    errors = [np.sort(rng.exponential(size=12))[::-1] for _ in range(20)]
    exact_cost, exact_error, _ = allocate(costs, errors)
    monkeypatch.setattr("qcqa.search.strategy.allocation.MOST_TOTALS", 2**15)
    cost, error, choices = allocate(costs, errors)
    assert len(cost) < len(exact_cost)
    for total, least, choice in zip(cost, error, choices, strict=True):
        assert total == sum(one[c] for one, c in zip(costs, choice, strict=True))
        assert least == pytest.approx(sum(one[c] for one, c in zip(errors, choice, strict=True)))
        # Whoever spends so much less, exactly told, does no better.
        unit = 2 * sum(one[-1] for one in costs) / 2**15
        spent = total - len(costs) * unit
        within = error[cost <= total].min()
        assert within <= exact_error[exact_cost <= spent].min(initial=np.inf) + 1e-12
