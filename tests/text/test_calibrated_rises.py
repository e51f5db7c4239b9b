"""Predictions are set right by what is measured, and measured where plans want to go."""

import numpy as np
import pytest

from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.groups.grouping import Grouping
from qcqa.text.calibrated_rises import CalibratedRises

#: Eight heads in 1 to 7 groups.
GROUPS = [
    Grouping.from_labels([min(head, count - 1) for head in range(8)]) for count in range(1, 8)
]
KEYS = [LayerChoice(key=(groups,)) for groups in GROUPS]
VALUES = [LayerChoice(value=(groups,)) for groups in GROUPS]


def predicted(layer, choices):
    """A sixth as much for each group more."""
    counts = [choice.picture(8).sites[bool(choice.value)].num_stored for choice in choices]
    return 6.0 ** -np.array(counts) * (layer + 1)


def true(layer, choices):
    """Keys lose more than is thought, the more the larger it is; values less."""
    one = predicted(layer, choices)
    is_key = np.array([bool(choice.key) for choice in choices])
    return np.where(is_key, 3 * one**0.9, one / 2)


@pytest.fixture
def asked():
    """What was measured, in its order."""
    return []


@pytest.fixture
def rises(asked):
    def measure(layer, choices):
        asked.extend((layer, choice) for choice in choices)
        return true(layer, choices)

    return CalibratedRises(predicted, measure)


def test_a_few_measured_ones_set_all_right(rises, asked):
    for layer in (0, 1):
        for choices in (KEYS, VALUES):
            known = rises(layer, choices)
            np.testing.assert_allclose(known[:4], true(layer, choices[:4]), rtol=0.2)
            assert (np.diff(known) < 0).all()
    assert len(asked) < 2 * 2 * 7 / 2
    was = len(asked)
    assert rises(0, KEYS).tolist() == rises(0, KEYS).tolist()
    assert len(asked) == was


def test_what_plans_choose_is_measured_once(rises, asked):
    for choices in (KEYS, VALUES):
        rises(0, choices)
        rises(1, choices)
    unknown = next(choice for choice in KEYS[:4] if (1, choice) not in asked)
    plan = (LayerChoice(), LayerChoice(unknown.key, VALUES[-1].value))
    done = []
    assert rises.measure_chosen([plan], lambda layer, total: done.append((layer, total)))
    assert done == [(1, 2), (2, 2)]
    assert (1, unknown) in asked
    assert rises(1, [unknown])[0] == true(1, [unknown])[0]
    assert not rises.measure_chosen([plan], lambda *_: None)


def test_a_method_begins_without_what_others_measured(rises):
    first = rises(0, KEYS)
    rises.measure_chosen([[choice] for choice in KEYS], lambda *_: None)
    assert rises(0, KEYS).tolist() != first.tolist()
    rises.begin()
    assert rises(0, KEYS).tolist() == first.tolist()


def test_what_a_layer_cannot_have_is_not_measured():
    rises = CalibratedRises(
        lambda _layer, choices: np.full(len(choices), np.inf),
        lambda *_: pytest.fail("there is nothing to measure"),
    )
    assert np.isinf(rises(0, KEYS)).all()
