"""Nothing flickers: charts stay in place while they follow, and what is not live stands still."""

import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

OpenPage = Callable[..., Page]

PATIENCE_MS = 90_000

expect.set_options(timeout=PATIENCE_MS)

#: Keeps for each chart how many of it were ever seen at once, how high they were, and for how many
#: frames on end nothing was in it.
_WATCH_FRAMES = """keys => {
    const seen = window.seen = {}, blank = {};
    const look = () => {
        for (const key of keys) {
            const shown = [...document.querySelectorAll(`.st-key-${key} .stPlotlyChart`)]
                .filter(chart => chart.checkVisibility());
            const isDrawn = shown.some(chart => chart.querySelector(":is(.hm, .trace)"));
            blank[key] = isDrawn ? 0 : (blank[key] ?? 0) + 1;
            const now = seen[key] ??= {most: 0, heights: [], blank: 0};
            now.most = Math.max(now.most, shown.length);
            now.blank = Math.max(now.blank, blank[key]);
            const height = shown[0]?.offsetHeight ?? 0;
            if (!now.heights.includes(height)) now.heights.push(height);
        }
        requestAnimationFrame(look);
    };
    look();
}"""

#: Counts what comes and goes on the page, within what is live and beside it.
_WATCH_CHANGES = """() => {
    const page = document.querySelector("[data-testid=stMainBlockContainer]");
    window.changes = {live: 0, beside: []};
    new MutationObserver(records => {
        for (const {target} of records)
            if (target.closest(".st-key-live")) changes.live++;
            // What is in the page no more was taken out with something that is.
            else if (target.isConnected) changes.beside.push(target.outerHTML.slice(0, 200));
    }).observe(page, {subtree: true, childList: true});
}"""


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("/", ["accuracy_chart", "grouping_chart"]),
        ("/groupings", ["grouping_chart", "layer_bars", "groups_of_gqa", "difference_chart"]),
    ],
)
def test_charts_stay_in_place_while_they_follow_the_slider(
    open_page: OpenPage, path: str, keys: list[str]
) -> None:
    page = open_page(f"{path}?run=demo")
    for key in keys:
        page.wait_for_selector(f".st-key-{key} :is(.hm, .trace)", state="attached")
    page.wait_for_load_state("networkidle")
    before = page.locator(".st-key-grouping_chart .main-svg").first.text_content()
    page.evaluate(_WATCH_FRAMES, keys)
    slider = page.get_by_role("slider").first
    slider.focus()
    for _ in range(3):
        # One after the other: each is drawn.
        for _ in range(15):
            slider.press("ArrowLeft")
        page.wait_for_timeout(1000)
    expect(page.locator(".st-key-grouping_chart .main-svg").first).not_to_have_text(before or "")
    for key, seen in page.evaluate("seen").items():
        assert seen["most"] == 1, key
        assert len(seen["heights"]) == 1, (key, seen)
        # Streamlit puts another chart in its place, and knows how wide that is a frame later.
        assert seen["blank"] <= 2, key


def test_page_stands_still_beside_a_live_search(open_page: OpenPage) -> None:
    page = open_page("/search?run=demo")
    page.get_by_text("Thorough", exact=True).click()
    page.get_by_role("button", name="Start search").click()
    page.wait_for_selector(".st-key-live .st-key-layers_chart .main-svg")
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(1500)
    page.evaluate(_WATCH_CHANGES)
    # What waits in the page is evaluated there, which the page's own policy forbids.
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while page.evaluate("changes.live") <= 100:
        assert time.monotonic() < deadline
        page.wait_for_timeout(200)
    assert page.evaluate("changes.beside") == []
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("[data-testid=stAlert]").first).to_contain_text("cancelled")
