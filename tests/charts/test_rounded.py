"""A number that rounds to zero has no minus sign, in a text and in a table."""

import numpy as np
import pandas as pd
import pytest

from qcqa.charts.common.rounded import fixed, zeros_unsigned


@pytest.mark.parametrize(
    ("number", "text"),
    [(-0.004, "0.00"), (0.004, "0.00"), (-0.006, "\N{MINUS SIGN}0.01"), (1.5, "+1.50")],
)
def test_a_rounded_zero_has_no_sign(number: float, text: str) -> None:
    assert fixed(number, 2, sign=True) == text


def test_a_column_keeps_all_but_its_rounded_zeros() -> None:
    shown = zeros_unsigned(pd.Series([-0.004, -0.0, -0.006, 0.123, np.nan]), 2)
    assert shown.tolist()[:4] == [0, 0, -0.006, 0.123]
    assert not np.signbit(shown[:2]).any()
    assert np.isnan(shown[4])
