"""Colours are seen, and what is written on them is read (contrast as WCAG 2.2 defines it)."""

import tomllib
from itertools import combinations

import pytest

from qcqa.charts.common.palette import (
    BOUND_COLOUR,
    GROUP_COLOURS,
    GROUP_INK,
    METHOD_STYLES,
    NEUTRAL_COLOUR,
    OVERLAY_STYLES,
)
from qcqa.packaged import app_folder

#: What WCAG asks of text (1.4.3), and of lines, markers and other graphics (1.4.11).
TEXT, GRAPHICS = 4.5, 3.0

#: Of the dashboard's pages, as Streamlit draws them.
PAGES = {"light": "#FFFFFF", "dark": "#171614"}
THEMES = tomllib.loads((app_folder() / ".streamlit" / "config.toml").read_text())["theme"]

DRAWN = {style.colour for style in (*METHOD_STYLES.values(), *OVERLAY_STYLES)} | {
    BOUND_COLOUR,
    NEUTRAL_COLOUR,
}


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours ``#rrggbb``, 1 to 21."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    # The greys that are often given as the limits on white.
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)
    assert contrast("#949494", "#ffffff") == pytest.approx(3.03, abs=0.01)


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
@pytest.mark.parametrize("colour", sorted(DRAWN))
def test_lines_and_markers_stand_out_from_the_page(colour: str, page: str) -> None:
    assert contrast(colour, page) >= GRAPHICS


@pytest.mark.parametrize("colour", GROUP_COLOURS)
def test_numbers_on_groups_can_be_read(colour: str) -> None:
    assert contrast(GROUP_INK, colour) >= TEXT


def test_no_two_methods_and_no_two_groups_look_the_same() -> None:
    styles = [*METHOD_STYLES.values(), *OVERLAY_STYLES]
    for one, other in combinations(styles, 2):
        assert (one.dash, one.symbol) != (other.dash, other.symbol)
        assert one.colour != other.colour
    assert len(set(GROUP_COLOURS)) == len(GROUP_COLOURS)


def test_captions_can_be_read() -> None:
    # Streamlit draws them at 60 % of the text's colour, and leaves the dark page's text near white.
    text = THEMES["light"]["textColor"]
    mixed = [round(0.6 * int(text[at : at + 2], 16) + 0.4 * 255) for at in (1, 3, 5)]
    assert contrast("#{:02x}{:02x}{:02x}".format(*mixed), PAGES["light"]) >= TEXT


@pytest.mark.parametrize("theme", PAGES)
def test_values_of_sliders_can_be_read(theme: str) -> None:
    assert contrast(THEMES[theme]["primaryColor"], PAGES[theme]) >= TEXT
