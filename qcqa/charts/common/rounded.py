"""Rounded numbers: what rounds to zero is never a zero with a minus sign."""

from typing import Any

import pandas as pd


def fixed(number: float, digits: int, *, sign: bool = False) -> str:
    """Return a number with so many decimals, and with a plus if asked; a zero has no sign."""
    text = f"{abs(number):.{digits}f}"
    if not text.strip("0."):
        return text
    return ("\N{MINUS SIGN}" if number < 0 else "+" if sign else "") + text


def zeros_unsigned(column: "pd.Series[Any]", digits: int) -> "pd.Series[Any]":
    """Return a table's column for who rounds it: what rounds to zero is zero, the rest as it is.

    A browser would write ``-0.00``.

    Parameters
    ----------
    column : Series
        Numbers; NaN where there are none.
    digits : int
        Decimals that are shown.
    """
    return column.mask(column.abs() < 0.5 * 10.0**-digits, 0.0)
