import numpy as np
import pytest

from qcqa.search.strategy.pareto import hypervolume, nondominated


def _dominated(i, cost, error):
    others = np.arange(len(cost)) != i
    no_worse = (cost <= cost[i]) & (error <= error[i])
    better = (cost < cost[i]) | (error < error[i])
    return bool((no_worse & better & others).any())


@pytest.mark.parametrize("seed", range(5))
def test_what_stays_is_dominated_by_nothing(seed):
    rng = np.random.default_rng(seed)
    cost, error = rng.integers(0, 12, size=60), rng.integers(0, 12, size=60).astype(float)
    kept = nondominated(cost, error)
    expected = {(cost[i], error[i]) for i in range(60) if not _dominated(i, cost, error)}
    assert {(cost[i], error[i]) for i in kept} == expected
    assert len(kept) == len(expected)
    assert (np.diff(cost[kept]) > 0).all()
    assert (np.diff(error[kept]) < 0).all()


def test_of_equal_points_the_first_stays():
    assert nondominated(np.array([2, 1, 1]), np.array([0.0, 3.0, 3.0])).tolist() == [1, 0]


def test_hypervolume_is_the_share_of_the_box_that_points_dominate():
    rng = np.random.default_rng(0)
    cost, error = rng.random(20), rng.random(20)
    samples = rng.random((200_000, 2))
    beaten = ((samples[:, :1] >= cost) & (samples[:, 1:] >= error)).any(axis=1).mean()
    volume = hypervolume(cost, error, max_cost=1, max_error=1)
    assert volume == pytest.approx(beaten, abs=0.005)


def test_hypervolume_of_simple_fronts():
    one, box = np.array([1]), {"max_cost": 4, "max_error": 2.0}
    assert hypervolume(one, np.array([1.0]), **box) == pytest.approx(3 / 8)
    assert hypervolume(np.array([1, 9]), np.array([1.0, 0.0]), **box) == pytest.approx(3 / 8)
    assert hypervolume(np.array([9]), np.array([0.0]), **box) == 0
    assert hypervolume(one, one.astype(float), max_cost=0, max_error=0) == 0
