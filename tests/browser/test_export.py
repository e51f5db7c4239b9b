"""A visitor takes a plan along: files, pictures, code, and the converted checkpoint."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pandas as pd
import pytest
from playwright.sync_api import Page, expect

import qcqa
from qcqa.measure.cache_bytes import cache_bytes_per_token
from qcqa.plan.file import load_plan

OpenPage = Callable[..., Page]

PATIENCE_MS = 90_000
ALERT = "[data-testid=stAlert]"
LIVE = ".st-key-live"

expect.set_options(timeout=PATIENCE_MS)


def _download(page: Page, key: str, folder: Path) -> Path:
    with page.expect_download(timeout=PATIENCE_MS) as download:
        page.locator(f".st-key-download_{key} button").first.click()
    file = folder / download.value.suggested_filename
    download.value.save_as(file)
    return file


def _page_link(page: Page, name: str) -> None:
    page.get_by_test_id("stTopNavLink").filter(has_text=name).click()


def test_what_was_selected_is_what_is_downloaded(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page("/?run=demo&budget=39.5")
    page.wait_for_selector(".st-key-accuracy_chart .main-svg")
    slider = page.get_by_role("slider").first
    slider.focus()
    for _ in range(20):
        slider.press("ArrowLeft")
    expect(page).to_have_url(re.compile(r"budget=37\.5%25$"))
    page.locator(".st-key-plan_method").first.get_by_text("QCQA-EC").click()
    expect(page).to_have_url(re.compile("method=qcqa-ec"))

    _page_link(page, "Export")
    expect(page.locator(".st-key-export_plan").first).to_contain_text(
        "QCQA-EC: 36 of 96 K and V heads"
    )
    expect(page).to_have_url(re.compile("/export.*method=qcqa-ec"))
    plan = load_plan(_download(page, "plan", tmp_path))
    assert (plan.method, plan.kv_bits) == ("qcqa-ec", 36 * plan.model.head_bits)
    assert plan.measured

    methods = pd.read_csv(_download(page, "methods", tmp_path), index_col="name")
    assert methods.loc["qcqa-ec", "WSE"] == pytest.approx(plan.predicted.wse)
    front = pd.read_csv(_download(page, "front", tmp_path))
    assert plan.kv_ratio in set(front[front["name"] == "qcqa-ec"]["KV ratio"])
    assert len(pd.read_csv(_download(page, "measured", tmp_path))) > 10

    picture = _download(page, "heads_png", tmp_path)
    assert picture.name == "demo-model-heads-qcqa-ec-kv37.5.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    drawing = _download(page, "fronts_svg", tmp_path).read_text(encoding="utf-8")
    assert "Demo model: next-token accuracy, measured," in drawing
    assert "budget 37.5" in drawing

    # The page stands for itself: opened from the disk, it draws and asks nobody.
    file = _download(page, "fronts_html", tmp_path)
    asked: list[str] = []
    alone = page.context.new_page()
    alone.on("request", lambda request: asked.append(request.url))
    alone.goto(file.as_uri())
    chart = alone.locator(".plotly-graph-div")
    expect(chart).to_contain_text("Demo model: next-token accuracy")
    assert all(url.startswith(("file:", "data:", "blob:")) for url in asked)


def test_checkpoint_is_converted_in_the_background_and_opens(
    open_page: OpenPage, tmp_path: Path
) -> None:
    page = open_page("/export?run=demo&budget=50&method=gqa")
    card = page.locator(".st-key-export_checkpoint").first
    expect(card).to_contain_text("a layer at a time")
    folder = tmp_path / "deep" / "half"
    field = card.locator("input").first
    (tmp_path / "mine").write_text("mine")
    field.fill(str(tmp_path))
    field.press("Enter")
    expect(page.locator(ALERT).first).to_contain_text("is not empty")
    field.fill(str(folder))
    field.press("Enter")
    expect(card.get_by_role("button", name="Convert")).to_be_enabled()
    card.get_by_role("button", name="Convert").click()
    page.wait_for_selector(LIVE)
    # A reload loses nothing.
    page.reload()
    expect(page.locator(".st-key-export_checkpoint").first).to_contain_text(
        "Written to", timeout=2 * PATIENCE_MS
    )
    expect(page.locator(LIVE)).to_have_count(0)
    shown = page.locator(".st-key-export_checkpoint [data-testid=stTable]").first
    expect(shown).to_contain_text("KV cache measured")
    assert shown.inner_text().count("3,072 bytes per token") == 2

    promised = json.loads((folder / "plan.json").read_text())["kv_bytes_per_token"]
    assert promised == 3072
    assert cache_bytes_per_token(qcqa.load(folder)) == promised

    archive = _download(page, "checkpoint", tmp_path)
    with ZipFile(archive) as content:
        content.extractall(tmp_path / "elsewhere")
    assert cache_bytes_per_token(qcqa.load(tmp_path / "elsewhere" / "half")) == promised


def test_refit_in_the_background_is_cancelled_and_leaves_nothing(
    open_page: OpenPage, tmp_path: Path
) -> None:
    page = open_page("/export?run=demo&budget=37.5&method=best")
    card = page.locator(".st-key-export_checkpoint").first
    expect(card).to_contain_text("refitted in float32")
    field = card.locator("input").first
    field.fill(str(tmp_path / "half"))
    field.press("Enter")
    expect(page).to_have_url(re.compile("method=best"))
    expect(card.get_by_role("button", name="Convert")).to_be_enabled()
    card.get_by_role("button", name="Convert").click()
    expect(page.locator(LIVE).first).to_contain_text(re.compile("calibration text|refitting"))
    page.locator(LIVE).get_by_role("button", name="Cancel").first.click()
    expect(page.locator(ALERT).first).to_contain_text("Nothing half-written is kept")
    assert list(tmp_path.iterdir()) == []
    page.get_by_role("button", name="Resume").click()
    page.wait_for_selector(LIVE)
    page.locator(LIVE).get_by_role("button", name="Cancel").first.click()
    expect(page.locator(ALERT).first).to_contain_text("Nothing half-written is kept")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_page_fits_its_window(open_page: OpenPage, width: int, dark: bool) -> None:
    page = open_page("/export?run=demo", width=width, dark=dark)
    page.wait_for_selector(".st-key-export_code")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # Every button is inside its card.
    outside = page.evaluate(
        """() => [...document.querySelectorAll("[class*=st-key-export_] button")]
            .filter(button => {
                const card = button.closest("[class*=st-key-export_]").getBoundingClientRect();
                const box = button.getBoundingClientRect();
                return box.width && (box.right > card.right + 1 || box.left < card.left - 1);
            }).map(button => button.innerText)"""
    )
    assert outside == []
