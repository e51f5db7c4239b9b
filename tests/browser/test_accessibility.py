"""The dashboard by keyboard, by name, and for eyes that need contrast."""

import re
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from qcqa.plan.file import load_plan

OpenPage = Callable[..., Page]

#: Pages, and what is drawn last on each of them.
PAGES = {
    "": ".st-key-all_figures",
    "groupings": "[class*=st-key-similarity_] .main-svg",
    "search": ".st-key-start_search",
    "evaluate": ".st-key-download_measured",
    "evaluate?section=texts": ".st-key-start_generation",
    "runs": ".st-key-open_delete",
    "export": ".st-key-export_code",
    "help": "[data-testid=stTable]",
}

#: The most often that a key is pressed on the way to something.
_MOST_PRESSES = 40

#: Names of what is focused, or drawn as a chart, as assistive technology is told them.
_NAMES = """() => [...document.querySelectorAll(
    "[data-testid=stMain] :is(button, input, textarea, summary, [role=slider], [role=figure], "
    + "[data-testid=stPlotlyChart], [data-testid=stDataFrame], iframe)"
)]
    .filter(e => e.checkVisibility() && e.type !== "file")
    .map(e => [
        e.tagName,
        (e.getAttribute("aria-label")
            || (e.getAttribute("aria-labelledby") || "").split(" ")
                .map(id => document.getElementById(id)?.innerText || "").join(" ").trim()
            || e.labels?.[0]?.innerText || e.innerText || e.querySelector("[aria-label]")
                ?.getAttribute("aria-label") || e.title || "").trim(),
    ])"""

_LEVELS = """() => [...document.querySelectorAll("[data-testid=stMain] :is(h1,h2,h3,h4,h5,h6)")]
    .filter(e => e.checkVisibility()).map(e => Number(e.tagName[1]))"""

#: Contrast of every text of a chart that lies on the page itself, not on a mark.
_CONTRAST = """selector => {
    const channel = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g)
        + 0.0722 * channel(b);
    const rgb = text => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
    const page = luminance(rgb(getComputedStyle(document.querySelector(".stApp")).backgroundColor));
    return [...document.querySelectorAll(selector)].map(e => {
        const [low, high] = [luminance(rgb(getComputedStyle(e).fill)), page].sort((a, b) => a - b);
        return (high + 0.05) / (low + 0.05);
    });
}"""


def _drawn(open_page: OpenPage, path: str) -> Page:
    page = open_page(f"/{path}")
    page.wait_for_selector(PAGES[path])
    # What surrounds a kind of element that is still being fetched is hidden once more.
    page.wait_for_load_state("networkidle")
    page.wait_for_selector(PAGES[path])
    return page


@pytest.mark.parametrize("path", PAGES)
def test_all_controls_and_charts_have_names(open_page: OpenPage, path: str) -> None:
    page = _drawn(open_page, path)
    names = page.evaluate(_NAMES)
    deadline = time.monotonic() + 15
    # A busy machine draws a part of the page, or an element without its name, a moment before.
    while not (len(names) >= 2 and all(name[1] for name in names)):
        if time.monotonic() > deadline:
            break
        page.wait_for_timeout(200)
        names = page.evaluate(_NAMES)
    assert len(names) >= 2
    assert [name for name in names if not name[1]] == []
    # A name is read aloud as it is.
    assert [name for name in names if "**" in name[1]] == []


@pytest.mark.parametrize("path", PAGES)
def test_headings_leave_out_no_level(open_page: OpenPage, path: str) -> None:
    page = _drawn(open_page, path)
    levels = page.evaluate(_LEVELS)
    assert levels[0] <= 2
    assert all(after <= before + 1 for before, after in pairwise(levels))


@pytest.mark.parametrize("dark", [False, True])
def test_words_of_charts_can_be_read(open_page: OpenPage, dark: bool) -> None:
    page = open_page("/?run=demo", dark=dark)
    chart = ".st-key-accuracy_chart"
    page.wait_for_selector(f"{chart} .xtick text")
    words = ":is(.xtick text, .ytick text, .xtitle, .ytitle, .legendtext, .annotation text)"
    found = page.evaluate(_CONTRAST, f"{chart} {words}")
    assert len(found) > 10
    assert min(found) >= 4.5


def _tab_to(page: Page, script: str) -> None:
    _press_until(page, "Tab", script)


def _press_until(page: Page, key: str, script: str) -> None:
    """Press a key until ``script``, a condition on the focused element ``e``, holds."""
    for _ in range(_MOST_PRESSES):
        page.keyboard.press(key)
        if page.evaluate(f"() => {{ const e = document.activeElement; return {script}; }}"):
            return
    raise AssertionError(f"{key} leads nowhere where {script}")


def test_a_plan_is_chosen_and_downloaded_by_keyboard_alone(
    open_page: OpenPage, tmp_path: Path
) -> None:
    page = open_page("/?run=demo")
    page.wait_for_selector(".st-key-grouping_chart .main-svg")
    # In the order of the page: each is looked for from where the one before was found.
    _tab_to(page, "e.type === 'range' && e.ariaLabel.startsWith('KV budget')")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile(r"budget=50\.5"))
    _tab_to(page, "e.closest('.st-key-unit') !== null")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("unit=gib"))
    _tab_to(page, "e.ariaLabel === 'Vertical axis'")
    _tab_to(page, "e.closest('.st-key-select_gqa') !== null")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("method=gqa"))
    _tab_to(page, "e.closest('.st-key-plan_method') !== null")
    _press_until(page, "ArrowRight", "e.innerText.includes('Optimal')")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("method=optimal"))
    _tab_to(page, "e.innerText.includes('Download plan')")
    expect(page.locator("[data-testid=stTable]").last).to_contain_text("Optimal")
    # The button stands below the table, and is the last to follow.
    page.wait_for_selector("[data-test-script-state=notRunning]")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    file = tmp_path / "plan.json"
    download.value.save_as(file)
    assert load_plan(file).method == "optimal"
