"""A visitor measures plans, in a real browser and with real models."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Page, expect

from qcqa.packaged import demo_run_folder

OpenPage = Callable[..., Page]

PATIENCE_MS = 90_000
FRONT = ".st-key-accuracy_chart .main-svg"
LIVE = ".st-key-live"
ALERT = "[data-testid=stAlert]"

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture
def unmeasured(home: Path) -> str:
    """Return the id of a run of the demo model of which nothing was measured yet."""
    included = demo_run_folder()
    assert included is not None
    folder = home / "runs" / f"unmeasured-{len(list((home / 'runs').glob('*')))}"
    shutil.copytree(included, folder, ignore=shutil.ignore_patterns("measured"))
    return folder.name


def _page_link(page: Page, name: str) -> None:
    page.get_by_test_id("stTopNavLink").filter(has_text=name).click()


def _measure(page: Page, *, limit: int, which: str, tasks: bool) -> None:
    """Fill in the form, which is open or folded away, and start."""
    page.wait_for_selector(".st-key-run_list")
    if page.locator(".st-key-measure_more").count():
        page.locator(".st-key-measure_more").get_by_text("Measure more plans").click()
    form = page.locator(".st-key-measure").first
    form.get_by_text(which, exact=True).click()
    if not tasks:
        form.get_by_label("Clear all").first.click()
        expect(form.get_by_text("demo_recall")).to_have_count(0)
    samples = form.locator(".st-key-measure_limit input").first
    samples.fill(str(limit))
    samples.press("Enter")
    expect(form).to_contain_text("Measures ")
    form.get_by_role("button", name="Measure").click()
    page.wait_for_selector(LIVE)


def test_chosen_plan_is_measured_and_its_figures_appear(
    open_page: OpenPage, unmeasured: str, tmp_path: Path
) -> None:
    page = open_page(f"/?run={unmeasured}&budget=50&method=gqa")
    page.wait_for_selector(".st-key-pareto_chart .main-svg")
    # The choices come along to the other page, though its link has none of them.
    _page_link(page, "Evaluate")
    expect(page).to_have_url(re.compile("/evaluate.*method=gqa"))
    _measure(page, limit=5, which="One plan", tasks=True)
    expect(page.locator(LIVE).first).to_contain_text(re.compile(r"\d+%|Starting"))
    page.reload()
    # At work or already done: it is the same one, and in the end its figures are on screen. The
    # plan's come last: while the page is still loading nothing of it is at work either.
    chart = page.locator(".st-key-accuracy_chart").first
    expect(chart).to_contain_text("GQA", timeout=2 * PATIENCE_MS)
    expect(page.locator(LIVE)).to_have_count(0)
    page.wait_for_selector(FRONT)
    expect(page.locator(ALERT)).to_have_count(0)
    expect(chart).to_contain_text("MHA, the source")
    # The table stands below the chart, and is drawn after it.
    page.wait_for_selector("[data-test-script-state=notRunning]")

    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    file = tmp_path / "measured.csv"
    download.value.save_as(file)
    table = pd.read_csv(file)
    assert list(table["method"]) == ["source", "GQA"]
    assert list(table["KV ratio"]) == [1, 0.5]
    # Five samples are few, and wherever their figures are shown it says so.
    assert table["Next-token accuracy (small sample), %"].between(0, 100).all()
    assert table["Accuracy on recall (small sample), %"].notna().all()

    page.locator(".st-key-metric_list input").first.fill("recall")
    page.get_by_role("option", name="Accuracy on recall (small sample)").click()
    expect(page).to_have_url(re.compile("metric=demo_recall"))
    expect(page.locator(".st-key-accuracy_chart").first).to_contain_text("chance: 21.0 %")

    # Explore has the metric on its axis, and the figure at the plan.
    _page_link(page, "Explore")
    page.locator(".st-key-scale_list input").first.fill("recall")
    page.get_by_role("option", name="Accuracy on recall (small sample), measured").click()
    expect(page).to_have_url(re.compile("scale=demo_recall"))
    expect(page.locator(".st-key-accuracy_chart").first).to_contain_text("budget 50.0 %")
    expect(page.locator(".st-key-card_gqa").first).to_contain_text("ccuracy on recall")
    expect(page.locator("[data-testid=stTable]").last).to_contain_text("ccuracy on recall")


def test_evaluation_is_cancelled_keeps_its_figures_and_is_resumed(
    open_page: OpenPage, unmeasured: str
) -> None:
    # At this budget the refitted attention of Best comes with the run: refitting takes minutes.
    page = open_page(f"/evaluate?run={unmeasured}&budget=50")
    _measure(page, limit=60, which="All methods", tasks=False)
    # Some model is done: its figures are there at once, beside the progress.
    page.wait_for_selector(FRONT)
    page.locator(LIVE).get_by_role("button", name="Cancel").first.click()
    expect(page.locator(ALERT).first).to_contain_text("cancelled")
    page.wait_for_selector(FRONT)
    page.get_by_role("button", name="Resume").click()
    page.wait_for_selector(LIVE)
    expect(page.locator(ALERT)).to_have_count(0)
    expect(page.locator(LIVE)).to_have_count(0, timeout=2 * PATIENCE_MS)
    expect(page.locator(ALERT)).to_have_count(0)
    expect(page.locator(".st-key-accuracy_chart .legend").first).to_contain_text("QCQA-AC")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_page_fits_its_window(open_page: OpenPage, width: int, dark: bool) -> None:
    page = open_page("/evaluate?run=demo", width=width, dark=dark)
    page.wait_for_selector(FRONT)
    page.wait_for_selector(".st-key-proxy_chart .main-svg")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for chart in (".st-key-accuracy_chart", ".st-key-proxy_chart"):
        # No legend over the data.
        plot = page.locator(f"{chart} .nsewdrag").first.bounding_box()
        legend = page.locator(f"{chart} .legend").first.bounding_box()
        assert plot is not None
        assert legend is not None
        assert legend["y"] + legend["height"] <= plot["y"] + 1
