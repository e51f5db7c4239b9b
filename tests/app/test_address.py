"""Choices survive the way through an address, and nonsense in one does no harm."""

from typing import Any

import pytest


def test_choices_come_back_from_their_address() -> None:
    from ui.address import Choices, from_address, to_address

    assert to_address(Choices()) == {}
    chosen = Choices(
        run="a", budget=37.5, unit="gib", log=False, layer=3, stretch=True, others=("b", "c")
    )
    shown = to_address(chosen)
    assert shown["with"] == "b,c"
    assert from_address(shown) == chosen


@pytest.mark.parametrize(
    "found",
    [
        {"budget": "0"},
        {"budget": "nan"},
        {"context": "0"},
        {"layer": "1" * 5000},
        {"layer": "-1"},
        {"unit": "miles"},
        {"log": "maybe"},
        {"memory": "inf"},
        {"scale": "beauty"},
        {"unknown": "1"},
    ],
)
def test_what_makes_no_sense_is_left_at_its_default(found: dict[str, Any]) -> None:
    from ui.address import Choices, from_address

    assert from_address(found) == Choices()
