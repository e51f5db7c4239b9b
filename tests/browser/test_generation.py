"""A visitor reads what source and plans say, in a real browser and with real models."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

OpenPage = Callable[..., Page]

PATIENCE_MS = 90_000

expect.set_options(timeout=PATIENCE_MS)


def _choose(page: Page, label: str) -> None:
    page.locator(".st-key-generate_methods input").first.click()
    page.get_by_role("option", name=label, exact=True).click()


def test_source_and_plans_say_their_texts_side_by_side(open_page: OpenPage) -> None:
    page = open_page("/evaluate?run=demo&budget=50")
    page.locator(".st-key-section").get_by_text("Side by side").click()
    expect(page).to_have_url(re.compile("section=texts"))
    plans = page.locator(".st-key-generate_methods")
    # No refit, which takes minutes: the paper's method instead of the recommended one.
    plans.get_by_label("Clear all").first.click()
    expect(plans).not_to_contain_text("Heads")
    _choose(page, "GQA")
    expect(plans).to_contain_text("GQA")
    _choose(page, "QCQA-AC")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Generate").click()
    page.wait_for_selector(".st-key-live")
    # A reload loses nothing.
    page.reload()
    for place, name in enumerate(("MHA", "GQA", "QCQA-AC")):
        card = page.locator(f".st-key-text_{place}")
        expect(card).to_contain_text(name)
        expect(card).to_contain_text(re.compile(r"[\d.]+ tokens/s"))
        expect(card).to_contain_text(re.compile(r"[\d.]+ KiB of KV cache"))
    expect(page.locator(".st-key-live")).to_have_count(0)
    expect(page.locator(".st-key-text_0")).to_contain_text("Nathan likes pears.")
    for place in (1, 2):
        card = page.locator(f".st-key-text_{place}")
        expect(card).to_contain_text("50.0 % of the source's")
        expect(card).to_contain_text(re.compile("differs from the first|same as the source for"))
        marked = card.locator("span[style*=underline]")
        expect(marked).to_have_count(1)
    expect(page.locator("[data-testid=stAlert]")).to_have_count(0)


@pytest.mark.parametrize("width", [390, 1280])
def test_section_fits_its_window(open_page: OpenPage, width: int) -> None:
    page = open_page("/evaluate?run=demo&section=texts", width=width)
    page.wait_for_selector(".st-key-start_generation")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
