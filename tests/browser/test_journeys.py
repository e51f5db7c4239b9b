"""What a visitor does, in a real browser."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from qcqa.charts.fronts.comparison import points_at_budget
from qcqa.jobs.store import list_runs
from qcqa.plan.file import load_plan
from qcqa.search.methods import METHODS

OpenPage = Callable[..., Page]

PATIENCE_MS = 90_000
PARETO = ".st-key-pareto_chart .main-svg"
#: What the included run shows first: it has been measured.
ACCURACY = ".st-key-accuracy_chart .main-svg"
GROUPS = ".st-key-grouping_chart .main-svg"
ALERT = "[data-testid=stAlert]"

# While a part of the page is drawn anew its old copy may stand beside it for a moment: hence the
# many ``first``, for a locator that finds two things fails at once.
expect.set_options(timeout=PATIENCE_MS)


def _wait_for_change(page: Page, selector: str, before: str) -> None:
    expect(page.locator(selector).first).not_to_have_text(before)


def test_demo_is_on_screen_and_follows_the_slider_to_a_plan(
    open_page: OpenPage, tmp_path: Path
) -> None:
    page = open_page("/?run=demo")
    page.wait_for_selector(ACCURACY)
    page.wait_for_selector(GROUPS)
    card = ".st-key-card_optimal [data-testid=stMetricValue]"
    before = page.locator(card).first.inner_text()
    kept_before = page.locator(GROUPS).first.text_content()

    slider = page.get_by_role("slider").first
    slider.focus()
    for _ in range(20):
        slider.press("ArrowLeft")
    # No press is lost, however fast they come.
    expect(page).to_have_url(re.compile("budget=48%25$"))
    _wait_for_change(page, card, before)
    expect(page.locator(".st-key-accuracy_chart").first).to_contain_text("budget 48.0 %")
    expect(page.locator(GROUPS).first).not_to_have_text(kept_before or "")

    page.locator(".st-key-plan_method").first.get_by_text("QCQA-EC").click()
    expect(page).to_have_url(re.compile("method=qcqa-ec"))
    expect(page.locator("[data-testid=stTable]").last).to_contain_text("QCQA-EC")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download plan").click()
    file = tmp_path / "plan.json"
    download.value.save_as(file)
    plan = load_plan(file)
    demo = next(run for run in list_runs() if run.id == "demo")
    within = 46 * demo.result().spec.head_bits
    point = points_at_budget(demo.result(), within)["qcqa-ec"]
    assert point is not None
    assert plan.method == "qcqa-ec"
    assert plan.kv_bits == point.kv_bits <= within
    assert plan.predicted.wse == pytest.approx(point.wse)
    facts = page.locator("[data-testid=stTable]").last
    expect(facts).to_contain_text(f"{plan.predicted.relative_wse:.4f}")

    # The address holds it all: another window shows the same.
    other = open_page(page.url.split("/", maxsplit=3)[3].join(["/", ""]))
    expect(other.locator(card).first).to_have_text(page.locator(card).first.inner_text())
    expect(other.locator("[data-testid=stTable]").last).to_contain_text("QCQA-EC")


#: Where a trace's point is in the window, by its bits per token.
POINT = """([chart, method, kv_bits]) => {
    const plot = document.querySelector(`.st-key-${chart} .js-plotly-plot`);
    const {left, top} = plot.getBoundingClientRect();
    const {xaxis, yaxis} = plot._fullLayout;
    for (const {customdata, x, y} of plot._fullData) {
        const place = Array.from(customdata || []).findIndex(
            one => one[0] === method && one[1] === kv_bits);
        if (place >= 0)
            return [left + xaxis._offset + xaxis.d2p(x[place]),
                    top + yaxis._offset + yaxis.d2p(y[place])];
    }
}"""


def _point_at(page: Page, chart: str, method: str, kv_bits: int, *, says: str) -> None:
    """Move the mouse to a trace's point until the chart names it: fronts have close neighbours."""
    said = page.locator(f".st-key-{chart} .hoverlayer").first
    for _ in range(40):
        # A chart may still be finding its size.
        x, y = page.evaluate(POINT, [chart, method, kv_bits])
        page.mouse.move(x + 20, y + 20)
        page.mouse.move(x, y, steps=4)
        page.wait_for_timeout(500)
        text = said.text_content() or ""
        if text.startswith(METHODS[method].label) and says in text:
            return
    pytest.fail(f"the chart says {text!r} at the point of {method}")


@pytest.mark.parametrize(
    ("scale", "chart", "method", "other"),
    [
        # Each time a method whose plan of a quarter has no other method's point near.
        ("relative", "pareto_chart", "optimal", "gqa"),
        ("heldout/accuracy", "accuracy_chart", "gqa", "optimal"),
    ],
)
def test_click_on_a_point_selects_its_plan_everywhere(
    open_page: OpenPage, scale: str, chart: str, method: str, other: str
) -> None:
    page = open_page(f"/?run=demo&scale={scale}&budget=40", height=1100)
    page.wait_for_selector(f".st-key-{chart} .main-svg")
    page.wait_for_selector(GROUPS)
    before = page.locator(GROUPS).first.text_content()
    _point_at(page, chart, method, 24 * 512, says="KV cache 25")
    page.mouse.down()
    page.mouse.up()
    expect(page).to_have_url(re.compile(f"budget=25%25&.*method={method}"))
    expect(page.get_by_role("slider").first).to_have_attribute("aria-valuetext", re.compile("^25"))
    expect(page.locator(f".st-key-{chart}").first).to_contain_text("budget 25.0 %")
    expect(page.locator(f".st-key-card_{method}").first).to_contain_text("selected")
    expect(page.locator(GROUPS).first).not_to_have_text(before or "")
    expect(page.locator("[data-testid=stTable]").last).to_contain_text("24 of 96")
    # It stays so: a chart that is drawn anew has no selection that comes back.
    page.wait_for_timeout(1500)
    expect(page).to_have_url(re.compile(f"budget=25%25&.*method={method}"))
    # Another choice is not undone by the click that was.
    page.locator(f".st-key-select_{other} button").first.click()
    expect(page).to_have_url(re.compile(f"budget=25%25&.*method={other}"))
    expect(page.locator(f".st-key-card_{other}").first).to_contain_text("selected")


def _start_search(page: Page, effort: str) -> None:
    page.get_by_role("button", name="New search").click()
    # By weights alone: it takes seconds.
    page.get_by_text("My own choice").click()
    page.get_by_text(effort, exact=True).click()
    page.get_by_role("button", name="Start search").click()
    page.wait_for_selector(".st-key-live")


def test_search_is_followed_through_a_reload_to_its_fronts(open_page: OpenPage) -> None:
    page = open_page("/?budget=40")
    page.wait_for_selector(ACCURACY)
    _start_search(page, "Quick")
    assert "run=" in page.url
    assert "budget=40" in page.url
    page.reload()
    # At work or already done: it is the same run, and in the end it leads to all that it found.
    explore = page.get_by_role("link", name="Explore its fronts")
    expect(explore).to_be_visible(timeout=2 * PATIENCE_MS)
    expect(page.locator(".st-key-live")).to_have_count(0)
    explore.click()
    page.wait_for_selector(PARETO)
    assert "budget=40" in page.url
    expect(page.locator(".st-key-card_qcqa-ec-wse")).to_be_visible()
    expect(page.locator(ALERT)).to_have_count(0)


def test_search_is_cancelled_and_resumed_after_a_reload(open_page: OpenPage) -> None:
    page = open_page()
    page.wait_for_selector(ACCURACY)
    _start_search(page, "Thorough")
    address = page.url
    page.reload()
    live = page.locator(".st-key-live").first
    expect(live).to_contain_text("QCQA-AC by WSE: stage 1")
    page.wait_for_selector(".st-key-layers_chart .main-svg")
    assert page.url == address
    # What the form holds stays while the progress is drawn anew.
    page.get_by_text("My own choice", exact=True).click()
    expect(page.locator(".st-key-own_kind").first).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(ALERT).first).to_contain_text("cancelled")
    page.get_by_role("button", name="Resume").click()
    page.wait_for_selector(".st-key-live")
    expect(page.locator(ALERT)).to_have_count(0)
    # Explore keeps a row of it, and shows the fronts that are there.
    page.get_by_role("link", name="Explore", exact=True).first.click()
    page.wait_for_selector(PARETO)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(ALERT).first).to_contain_text("cancelled")


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("path", ["/search?run=demo", "/help"])
def test_search_and_help_fit_their_window(open_page: OpenPage, path: str, width: int) -> None:
    page = open_page(path, width=width)
    ready = (
        "button:has-text('Start search')" if "search" in path else ".st-key-reading_chart .main-svg"
    )
    page.wait_for_selector(ready)
    wide = page.evaluate(
        """() => [...document.querySelectorAll("[data-testid=stMainBlockContainer] *")]
            .filter(e => e.getBoundingClientRect().right > window.innerWidth + 1
                && !e.closest("svg") && getComputedStyle(e).position !== "absolute")
            .map(e => e.className.toString().slice(0, 80))"""
    )
    assert wide == []


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_page_fits_its_window(open_page: OpenPage, width: int, dark: bool) -> None:
    page = open_page("/?run=demo&scale=relative", width=width, dark=dark)
    page.wait_for_selector(PARETO)
    page.wait_for_selector(GROUPS)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    wide = page.evaluate(
        """() => [...document.querySelectorAll("[data-testid=stMainBlockContainer] *")]
            .filter(e => e.getBoundingClientRect().right > window.innerWidth + 1
                && !e.closest("svg") && getComputedStyle(e).position !== "absolute")
            .map(e => e.className.toString().slice(0, 80))"""
    )
    assert wide == []
    # No legend over the data.
    plot = page.locator(".st-key-pareto_chart .nsewdrag").first.bounding_box()
    legend = page.locator(".st-key-pareto_chart .legend").first.bounding_box()
    assert plot is not None
    assert legend is not None
    assert legend["y"] + legend["height"] <= plot["y"] + 1


def test_chart_and_gpu_end_about_where_many_cards_do(open_page: OpenPage) -> None:
    page = open_page("/?run=demo")
    page.wait_for_selector(ACCURACY)
    page.wait_for_selector(".st-key-gpu_box table")
    ends = {}
    for key in ("accuracy_chart", "card_optimal", "gpu_box"):
        box = page.locator(f".st-key-{key}").first.bounding_box()
        assert box is not None
        ends[key] = box["y"] + box["height"]
    assert ends["accuracy_chart"] < ends["gpu_box"]
    assert abs(ends["gpu_box"] - ends["card_optimal"]) < 150
