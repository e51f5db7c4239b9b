"""Candidates by measured loss: few of many are measured, and more groups never cost more."""

import numpy as np
import pytest

from qcqa.reduce.candidates import Slot
from qcqa.reduce.groups.grouping import LayerGrouping
from qcqa.reduce.groups.search.candidates import GroupCandidates
from qcqa.search.strategy.rescoring import measured, measured_choice, worth_measuring


def _candidates(num_heads, kind="shared", counts=None):
    """Return a candidate of every group count, the guiding error falling."""
    counts = np.array(counts or range(1, num_heads + 1))
    labels = np.arange(num_heads) * counts[:, None] // num_heads
    return GroupCandidates(
        Slot(2, kind), labels, (num_heads - counts).astype(float), float(num_heads)
    )


@pytest.mark.parametrize("num_heads", [1, 2, 8, 16])
def test_every_count_of_few_heads_is_measured(num_heads):
    assert len(worth_measuring(_candidates(num_heads))) == num_heads


@pytest.mark.parametrize("num_heads", [17, 32, 64, 128])
def test_of_many_heads_about_a_dozen_counts_are_measured(num_heads):
    counts = worth_measuring(_candidates(num_heads)) + 1
    assert counts[:4].tolist() == [1, 2, 3, 4]
    assert counts[-2:].tolist() == [num_heads - 1, num_heads]
    assert 10 <= len(counts) <= 14
    assert (np.diff(counts, 2)[3:-2] >= -2).all()


def test_of_several_groupings_of_a_count_the_best_is_measured_and_of_few_all():
    labels = np.array([[0, 0, 0], [0, 0, 1], [0, 1, 1], [0, 1, 2]])
    candidates = GroupCandidates(Slot(0), labels, np.array([3, 2, 1, 0.0]), 3.0)
    assert worth_measuring(candidates).tolist() == [0, 2, 3]
    divisors = [1, 2, 4, 8, 16, 32]
    assert len(worth_measuring(_candidates(32, counts=divisors))) == 6


def test_the_source_is_not_measured_and_costs_nothing():
    asked = []

    def rescore(layer, choices):
        asked.append((layer, choices))
        return np.array([0.5, -0.1, 0.2])

    found = measured(_candidates(4, "key"), rescore)
    assert found.error.tolist() == pytest.approx([0.5, 1e-6, 0.2, 0])
    assert found.total is None
    ((layer, choices),) = asked
    assert layer == 2
    groupings = [LayerGrouping.of(choice, 4) for choice in choices]
    assert [grouping.key.num_groups for grouping in groupings] == [1, 2, 3]
    assert all(grouping.value.num_groups == 4 for grouping in groupings)


def test_more_groups_never_cost_more():
    rises = {1: 0.9, 2: 0.3, 3: 0.35, 4: 0.1, 5: -0.01, 6: 0.02, 7: 0.0}

    def rescore(_layer, choices):
        groupings = [LayerGrouping.of(choice, 8) for choice in choices]
        return np.array([rises[grouping.key.num_groups] for grouping in groupings])

    told = []
    (found,) = measured_choice([_candidates(8)], rescore, told.append)
    assert found.num_groups.tolist() == [1, 2, 4, 5, 8]
    assert found.error.tolist() == pytest.approx([0.9, 0.3, 0.1, 1e-6, 0])
    assert told == [1]
