from types import SimpleNamespace

import numpy as np
import pytest

from qcqa.search.strategy.remeasuring import _some


def test_a_front_of_one_plan_has_that_to_measure() -> None:
    for cost in range(1, 4000):
        assert _some(SimpleNamespace(cost=np.array([cost]))) == [0]  # type: ignore[arg-type]


@pytest.mark.parametrize("num_plans", [2, 3, 50])
def test_a_few_plans_are_measured_from_the_smallest_on(num_plans: int) -> None:
    cost = np.unique(np.geomspace(10, 4000, num_plans).round()).astype(int)
    places = _some(SimpleNamespace(cost=cost))  # type: ignore[arg-type]
    assert places[0] == 0
    assert 2 <= len(places) <= 6
    assert (np.diff(places) > 0).all()
