"""Choices survive the way through an address, and nonsense in one does no harm."""

from typing import Any

import pytest

from qcqa.plan.budget import parse_ratio


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
        {"budget": "1e-17"},
        {"budget": "nan"},
        {"budget": "150%"},
        {"budget": "101"},
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


@pytest.mark.parametrize("percent", [37.5, 48.3, 0.1, 1.0, 100.0, 100 / 3])
def test_a_budget_is_written_as_on_the_command_line(percent: float) -> None:
    from ui.address import Choices, from_address, to_address

    shown = to_address(Choices(budget=percent))["budget"]
    assert shown.endswith("%")
    assert parse_ratio(shown) == pytest.approx(percent / 100)
    assert from_address(Choices, {"budget": shown}).budget == pytest.approx(percent)


@pytest.mark.parametrize(
    ("shown", "percent"),
    # The last two are of earlier releases.
    [("37.5%", 37.5), ("0.375", 37.5), ("1", 100.0), ("37.5", 37.5), ("100", 100.0)],
)
def test_a_budget_is_read_in_every_way_in_which_it_was_written(shown: str, percent: float) -> None:
    from ui.address import Choices, from_address

    assert from_address(Choices, {"budget": shown}).budget == percent


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
        bits_group=64,
        bits_rotate=True,
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
        {"bits_group": "48"},
        {"bits_rotate": "1"},
        {"stage2_generations": "1" * 5000},
    ],
)
def test_nonsense_in_a_draft_is_left_at_its_default(found: dict[str, str]) -> None:
    from ui.address import from_address
    from ui.draft import Draft

    assert from_address(Draft, found) == Draft()
