"""The fitness of one layer's groupings, by population and by group."""

import pickle

import numpy as np
import pytest

from qcqa.reduce.groups.grouping import Grouping
from qcqa.reduce.groups.objective import Objective, WseObjective


@pytest.fixture
def objective() -> Objective:
    heads = np.random.default_rng(0).normal(size=(7, 30))
    return WseObjective(heads @ heads.T)


def test_the_error_of_a_grouping_is_that_of_its_groups(objective):
    labels = np.random.default_rng(1).integers(0, 4, size=(40, 7))
    summed = [objective.error_of_groups(Grouping.from_labels(row).groups).sum() for row in labels]
    np.testing.assert_allclose(objective.error(labels), summed, rtol=1e-10)


def test_heads_for_themselves_cost_nothing_and_names_do_not_matter(objective):
    assert objective.error(np.arange(7)[None])[0] == 0
    assert objective.error_of_groups([(3,), (0,)]).tolist() == [0, 0]
    assert len(objective.error_of_groups([])) == 0
    labels = np.array([[0, 1, 0, 2, 1, 1, 2]])
    np.testing.assert_array_equal(objective.error(labels), objective.error(9 - labels))


def test_the_bound_is_below_and_processes_can_have_it(objective):
    again = pickle.loads(pickle.dumps(objective))
    labels = np.random.default_rng(1).integers(0, 7, size=(300, 7))
    counts = np.array([len(set(row)) for row in labels])
    assert (again.error(labels) >= again.bound()[counts - 1]).all()
    assert again.total == pytest.approx(np.trace(objective.gram))
    assert again.num_heads == 7
    assert again.guided_exactly
