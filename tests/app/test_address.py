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
    assert from_address(Choices, shown) == chosen


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

    assert from_address(Choices, found) == Choices()


def test_a_draft_of_a_search_comes_back_from_its_address() -> None:
    from ui.address import from_address, to_address
    from ui.draft import Draft

    assert to_address(Draft()) == {}
    draft = Draft(
        model="folder",
        folder="/models/some & other, ünïcode",
        preset="own",
        merge="aligned",
        apart=True,
        methods=("qcqa-ec", "optimal"),
        generations=7,
        seed=0,
    )
    assert from_address(Draft, to_address(draft)) == draft
    assert from_address(Draft, to_address(Draft(methods=()))).methods == ()


@pytest.mark.parametrize(
    "found",
    [
        {"model": "moon"},
        {"preset": "cheap"},
        {"effort": "quick"},
        {"fitness": "beauty"},
        {"merge": "glue"},
        {"methods": "optimal,magic"},
        {"apart": "1"},
        {"generations": "0"},
        {"population_size": "3"},
        {"seed": "-1"},
        {"restarts": "1.5"},
        {"stage2_generations": "1" * 5000},
    ],
)
def test_nonsense_in_a_draft_is_left_at_its_default(found: dict[str, str]) -> None:
    from ui.address import from_address
    from ui.draft import Draft

    assert from_address(Draft, found) == Draft()
