"""A run that is shared, in a real browser: loaded from a zip, named, sent on, deleted."""

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from qcqa.jobs.archive import pack_run
from qcqa.jobs.loading import load_run
from qcqa.jobs.run import open_run
from qcqa.packaged import demo_run_folder

OpenPage = Callable[..., Page]

PATIENCE_MS = 90_000
TABLE = ".st-key-runs_table canvas"
PANEL = ".st-key-run_panel"
ROW_HEIGHT = 35

expect.set_options(timeout=PATIENCE_MS)


def _click_row(page: Page, number: int) -> None:
    """Click the box before a row of the table, which is painted and holds no elements to click."""
    box = page.locator(TABLE).first.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 16, box["y"] + ROW_HEIGHT * (number + 0.5))


def test_a_shared_run_is_loaded_named_sent_on_and_deleted(
    open_page: OpenPage, home: Path, tmp_path: Path
) -> None:
    demo = demo_run_folder()
    assert demo is not None
    shared = tmp_path / "shared.zip"
    pack_run(open_run(demo, bundled=True), shared)

    page = open_page("/runs")
    page.wait_for_selector(TABLE)
    expect(page.locator(PANEL)).to_contain_text("Demo model")
    page.get_by_role("button", name="Load a run").click()
    dialog = page.get_by_role("dialog")
    dialog.locator("input[type=file]").set_input_files(shared)
    dialog.get_by_role("button", name="Load", exact=True).click()
    expect(dialog).to_have_count(0)
    expect(page).to_have_url(re.compile("run=2"))
    [folder] = (home / "runs").iterdir()

    page.get_by_role("button", name="Name and note").click()
    dialog.get_by_label("Name", exact=True).fill("From a colleague")
    dialog.get_by_label("Note", exact=True).fill("for the report")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    expect(page.locator(PANEL).first).to_contain_text("From a colleague")
    expect(page.locator(PANEL).first).to_contain_text("for the report")
    assert open_run(folder).name == "From a colleague"

    # What is sent on is what was loaded, with its new name.
    with page.expect_download() as download:
        page.get_by_role("button", name="Download zip").click()
    sent = tmp_path / "sent.zip"
    download.value.save_as(sent)
    assert download.value.suggested_filename == f"{folder.name}.zip"

    # The second row, the included run, is selected as well, and then alone.
    _click_row(page, 2)
    expect(page.locator(".st-key-run_comparison").first).to_contain_text("2 runs selected")
    _click_row(page, 1)
    expect(page).to_have_url(re.compile("run=demo"))
    expect(page.locator(PANEL).first).to_contain_text("Demo model")
    _click_row(page, 2)
    _click_row(page, 1)
    expect(page.locator(PANEL).first).to_contain_text("From a colleague")

    page.get_by_role("button", name="Delete").click()
    expect(dialog).to_contain_text(folder.name)
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert folder.exists()
    page.get_by_role("button", name="Delete").click()
    dialog.get_by_role("button", name="Delete").click()
    expect(dialog).to_have_count(0)
    expect(page.locator(PANEL).first).to_contain_text("Demo model")
    assert not folder.exists()

    again = load_run(sent)
    assert (again.name, again.note) == ("From a colleague", "for the report")
