"""Small models are judged by all of the text, large ones by as much as can be waited for."""

import pytest

from qcqa.model.inspect import inspect_model
from qcqa.text.amounts import (
    BATCH_TOKENS,
    MEASURED_EVERY,
    exact_batches,
    plan_steps,
    ranked_batches,
    read_batches,
)
from qcqa.text.calibration_windows import DEFAULT_TOKENS

SMOL, SEVEN_BILLION = 134_515_008, 7 * 10**9


def test_the_demo_is_measured_and_refitted_as_well_as_can_be():
    size = inspect_model("demo").num_weights
    # Padding makes some batches more.
    assert read_batches(size) > 2 * DEFAULT_TOKENS // BATCH_TOKENS
    assert exact_batches(size) >= ranked_batches(size) // MEASURED_EVERY
    assert plan_steps(size) == 200


def test_larger_models_are_given_less_and_never_nothing():
    for amount in (read_batches, ranked_batches, exact_batches, plan_steps):
        counts = [amount(size) for size in (10**6, SMOL, SEVEN_BILLION, 10**12)]
        assert counts == sorted(counts, reverse=True)
        assert counts[-1] == amount(SEVEN_BILLION) >= 1
    assert ranked_batches(10**12) > MEASURED_EVERY  # some to fit to


@pytest.mark.parametrize("size", [SMOL, SEVEN_BILLION])
def test_searches_read_no_more_than_refits(size):
    assert exact_batches(size) <= ranked_batches(size) <= read_batches(size)
