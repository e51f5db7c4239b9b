"""Which heads share with other heads in one picture than in the other."""

import numpy as np
import pytest

from qcqa.charts.layers.differences import differing_heads
from qcqa.reduce.groups.grouping import Grouping
from qcqa.reduce.picture import SitePicture


def _differ(one: tuple[int, ...], other: tuple[int, ...]) -> list[int]:
    return np.flatnonzero(differing_heads(SitePicture(one), SitePicture(other))).tolist()


def test_equal_pictures_do_not_differ() -> None:
    assert _differ((0, 0, 1, 2, 2, 2), (0, 0, 1, 2, 2, 2)) == []


def test_a_head_that_moves_marks_both_of_its_groups() -> None:
    assert _differ((0, 0, 1, 1, 2, 2), (0, 1, 1, 1, 2, 2)) == [0, 1, 2, 3]


def test_a_groups_number_is_no_difference() -> None:
    # Heads 4 and 5 are group 1 in the first, group 4 in the second.
    assert _differ((0, 0, 0, 0, 1, 1), (0, 1, 2, 3, 4, 4)) == [0, 1, 2, 3]


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_comparison_of_sets_of_partners(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = (
        SitePicture(Grouping.from_labels(rng.integers(0, 4, 12)).labels) for _ in range(2)
    )
    partners = [
        [frozenset(picture.readers[stored]) for stored in picture.reads] for picture in (one, other)
    ]
    expected = [a != b for a, b in zip(*partners, strict=True)]
    assert differing_heads(one, other).tolist() == expected
    assert differing_heads(other, one).tolist() == expected
