import numpy as np
import pytest

from qcqa.errors import GroupingError
from qcqa.reduce.groups.grouping import Grouping, LayerGrouping, canonical_labels


def test_equal_partitions_are_equal_whatever_their_names():
    first = Grouping.from_labels([7, 7, 3, 7, 9])
    second = Grouping.from_groups([[4], [3, 1, 0], [2]], 5)
    assert first == second
    assert first.labels == (0, 0, 1, 0, 2)
    assert first.groups == ((0, 1, 3), (2,), (4,))
    assert first.num_groups == 3
    assert first.num_heads == 5


def test_canonical_labels_of_a_population_are_those_of_each_row():
    rng = np.random.default_rng(0)
    population = rng.integers(-5, 20, size=(200, 11))
    expected = [Grouping.from_labels(row).labels for row in population]
    assert canonical_labels(population).tolist() == [list(labels) for labels in expected]


def test_contiguous_groups_are_gqa_mqa_and_mha():
    assert Grouping.contiguous(6, 3).labels == (0, 0, 1, 1, 2, 2)
    assert Grouping.contiguous(6, 1).num_groups == 1
    assert Grouping.contiguous(6, 6) == Grouping.singletons(6)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Grouping((0, 2, 1)),
        lambda: Grouping((1, 0)),
        lambda: Grouping(()),
        lambda: Grouping.contiguous(6, 4),
        lambda: Grouping.contiguous(6, 0),
        lambda: Grouping.from_groups([[0, 1], [1]], 2),
        lambda: Grouping.from_groups([[0]], 2),
        lambda: Grouping.from_groups([[0, 2]], 2),
        lambda: LayerGrouping(Grouping.singletons(2), Grouping.singletons(3)),
    ],
)
def test_what_is_no_partition_is_refused(make):
    with pytest.raises(GroupingError):
        make()
