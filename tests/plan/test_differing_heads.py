"""Which heads share with other heads in one grouping than in the other."""

import numpy as np
import pytest

from qcqa.errors import GroupingError
from qcqa.reduce.groups.grouping import Grouping, differing_heads


def _differ(one: list[list[int]], other: list[list[int]], num_heads: int = 6) -> list[int]:
    groupings = (Grouping.from_groups(groups, num_heads) for groups in (one, other))
    return np.flatnonzero(differing_heads(*groupings)).tolist()


def test_equal_groupings_do_not_differ() -> None:
    assert _differ([[0, 1], [2], [3, 4, 5]], [[3, 4, 5], [0, 1], [2]]) == []


def test_a_head_that_moves_marks_both_of_its_groups() -> None:
    assert _differ([[0, 1], [2, 3], [4, 5]], [[0], [1, 2, 3], [4, 5]]) == [0, 1, 2, 3]


def test_a_groups_number_is_no_difference() -> None:
    # Heads 4 and 5 are group 1 in the first, group 4 in the second.
    assert _differ([[0, 1, 2, 3], [4, 5]], [[0], [1], [2], [3], [4, 5]]) == [0, 1, 2, 3]


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_comparison_of_sets_of_partners(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = (Grouping.from_labels(rng.integers(0, 4, 12)) for _ in range(2))
    partners = [
        [frozenset(grouping.groups[label]) for label in grouping.labels]
        for grouping in (one, other)
    ]
    expected = [a != b for a, b in zip(*partners, strict=True)]
    assert differing_heads(one, other).tolist() == expected
    assert differing_heads(other, one).tolist() == expected


def test_groupings_of_other_heads_are_refused() -> None:
    with pytest.raises(GroupingError, match="of 4 and of 6 heads"):
        differing_heads(Grouping.singletons(4), Grouping.singletons(6))
