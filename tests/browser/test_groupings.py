"""From Explore to the groupings of the same plan, in a real browser."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

OpenPage = Callable[..., Page]

PATIENCE_MS = 90_000
GROUPS = ".st-key-grouping_chart .main-svg"

expect.set_options(timeout=PATIENCE_MS)


def _words(page: Page) -> str:
    """Return all that is written on the chart: numbers of groups, and heads that are kept."""
    # While a part of the page is drawn anew its old copy may stand beside it for a moment.
    expect(page.locator(".st-key-grouping_chart")).to_have_count(1)
    texts = page.locator(".st-key-grouping_chart .main-svg text").all_text_contents()
    assert len(texts) > 48
    return " ".join(texts)


def test_the_plan_of_explore_is_the_plan_of_groupings(open_page: OpenPage) -> None:
    page = open_page("/?run=demo&budget=40")
    page.wait_for_selector(GROUPS)
    before = page.locator(GROUPS).first.text_content() or ""
    page.locator(".st-key-plan_method").first.get_by_text("QCQA-EC").click()
    expect(page).to_have_url(re.compile("method=qcqa-ec"))
    expect(page.locator(GROUPS).first).not_to_have_text(before)
    on_explore = _words(page)

    page.get_by_role("link", name="Compare its groups").click()
    page.wait_for_selector(".st-key-layer_bars .main-svg")
    expect(page).to_have_url(re.compile(r"groupings\?.*method=qcqa-ec"))
    expect(page).to_have_url(re.compile("budget=40"))
    assert _words(page) == on_explore

    # Another plan beside it, and a layer: the address holds them.
    page.locator(".st-key-compare").first.get_by_text("MQA").click()
    expect(page.locator(".st-key-groups_of_mqa .main-svg").first).to_be_visible()
    layer = page.locator(".st-key-layer").first.get_by_role("slider")
    layer.focus()
    layer.press("ArrowRight")
    expect(page).to_have_url(re.compile("layer=1"))
    other = open_page(page.url.split("/", maxsplit=3)[3].join(["/", ""]))
    other.wait_for_selector(".st-key-groups_of_mqa .main-svg")
    assert _words(other) == on_explore

    # And back again.
    page.get_by_role("link", name="Explore").first.click()
    page.wait_for_selector(".st-key-accuracy_chart .main-svg")
    page.wait_for_selector(GROUPS)
    assert _words(page) == on_explore


@pytest.mark.parametrize("width", [390, 1280])
def test_page_fits_its_window_and_bars_are_level(open_page: OpenPage, width: int) -> None:
    page = open_page("/groupings?run=demo&budget=37.5", width=width)
    page.wait_for_selector(".st-key-layer_bars .main-svg")
    page.wait_for_selector(".st-key-difference_chart .main-svg")
    page.wait_for_selector("[class*=st-key-similarity] .main-svg")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    wide = page.evaluate(
        """() => [...document.querySelectorAll("[data-testid=stMainBlockContainer] *")]
            .filter(e => e.getBoundingClientRect().right > window.innerWidth + 1
                && !e.closest("svg") && !e.closest("[data-testid=stDataFrame]")
                && getComputedStyle(e).position !== "absolute")
            .map(e => e.className.toString().slice(0, 80))"""
    )
    assert wide == []
    grid, bars = (
        page.locator(f".st-key-{key} .nsewdrag").first.bounding_box()
        for key in ("grouping_chart", "layer_bars")
    )
    assert grid is not None
    assert bars is not None
    assert grid["height"] == pytest.approx(bars["height"], abs=1)
    if width > 1000:
        assert grid["y"] == pytest.approx(bars["y"], abs=1)


def test_options_in_a_second_row_have_their_whole_border(open_page: OpenPage) -> None:
    # The chosen option stands before the first of the second row.
    page = open_page("/groupings?run=demo&method=gqa", width=390)
    options = page.locator(".st-key-plan_method button")
    options.last.wait_for()
    assert len({box["y"] for one in options.all() if (box := one.bounding_box())}) > 1
    colours = options.evaluate_all("all => all.map(one => getComputedStyle(one).borderLeftColor)")
    assert "rgba(0, 0, 0, 0)" not in colours
