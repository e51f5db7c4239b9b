"""A run whose every text is markup that asks another machine: nothing is asked, or a link."""

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread
from urllib.parse import quote, urlencode

import pytest
from playwright.sync_api import Browser, Page

from qcqa.jobs.run import Run

OpenPage = Callable[..., Page]

PATIENCE_MS = 90_000

#: What the page may not hold, in whatever element and attribute.
_LINKS = """beacon => [...document.querySelectorAll("*")].flatMap(one => [...one.attributes]
    .filter(at => ["src", "srcset", "href", "xlink:href", "style", "poster", "data"]
        .includes(at.name) && at.value.includes(beacon))
    .map(at => one.outerHTML.slice(0, 200)))"""

_PAGES = (
    "/",
    "/groupings",
    "/search",
    "/evaluate",
    "/evaluate?section=speed",
    "/evaluate?section=texts",
    "/runs",
    "/export",
    "/help",
)


@pytest.fixture(scope="module")
def beacon() -> Iterator[tuple[str, list[str]]]:
    """Return an address on this machine, and what it was ever asked."""
    asked: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    asked.append(connection.recv(1000).decode(errors="replace"))
                    connection.close()

        Thread(target=listen, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}", asked


@pytest.fixture(scope="module")
def hostile(home: Path, beacon: tuple[str, list[str]], hostile_run: Callable[..., Run]) -> str:
    """Make two runs of hostile texts, and a folder that cannot be opened; return the text."""
    to = f"http://{beacon[0]}"
    text = (
        f"![x]({to}/markdown) <img src='{to}/html'> [a]({to}/link) <a href='{to}/a'>b</a> "
        f"{to}/bare <b>bold</b> :material/home: :red[red] $x^2$ `code` **strong** {to}"
    )
    for day in (1, 2):
        hostile_run(home / "runs" / f"2026010{day}-000000-hostile-{day}", text)
    # Without slashes: a browser fills them in.
    damaged = home / "runs" / f"![x](https:{beacon[0]})"
    damaged.mkdir()
    (damaged / "config.json").write_text("{")
    return text


def drawn(page: Page) -> None:
    """Wait until the page has been drawn, whole."""
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(500)


def addresses(text: str) -> list[str]:
    """Return every page of a hostile run, and pages whose whole address is hostile."""
    run = "run=20260101-000000-hostile-1"
    own = [f"{path}{'&' if '?' in path else '?'}{run}" for path in _PAGES]
    names = ("run", "method", "metric", "generation", "gpu", "with", "compare", "folder")
    chosen = urlencode(dict.fromkeys(names, text) | {"scale": f"{text}/accuracy"})
    return [
        *own,
        *(f"{path}?{chosen}" for path in ("/", "/groupings", "/evaluate")),
        f"/search?{chosen}&model=folder",
        f"/?{run}&scale={quote(text)}/accuracy",
        "/?run=demo&with=20260101-000000-hostile-1,20260102-000000-hostile-2",
    ]


def test_no_page_asks_another_machine_for_anything(
    open_page: OpenPage, hostile: str, beacon: tuple[str, list[str]]
) -> None:
    to, asked = beacon
    page = open_page("/help")
    blocked: list[str] = []
    page.on("console", lambda told: blocked.append(told.text) if told.type == "error" else None)
    origin = page.url.removesuffix("/help")
    for path in addresses(hostile):
        page.goto(origin + path)
        drawn(page)
        for folded in page.locator("[data-testid=stExpander] summary").all():
            folded.click()
            drawn(page)
        assert page.locator("[data-testid=stException]").count() == 0, path
        assert page.evaluate(_LINKS, to) == [], path
        assert page.locator(":is(b, strong):text-is('bold'), .katex").count() == 0, path
        assert asked == [], path
    assert [one for one in blocked if "Content Security Policy" in one] == []


def test_the_policy_lets_nothing_out_that_slips_through(
    browser: Browser, address: str, beacon: tuple[str, list[str]]
) -> None:
    to, asked = beacon
    page = browser.new_page()
    page.goto(f"{address}/help")
    drawn(page)
    page.evaluate(
        """to => {
            for (const html of [`<img src="http://${to}/image">`, `<iframe src="http://${to}">`,
                    `<link rel="stylesheet" href="http://${to}/style">`,
                    `<p style="background: url(http://${to}/background)">x</p>`])
                document.body.insertAdjacentHTML("beforeend", html);
            fetch(`http://${to}/fetch`).catch(() => null);
            navigator.sendBeacon(`http://${to}/beacon`);
            try { new WebSocket(`ws://${to}/socket`) } catch {}
        }""",
        to,
    )
    page.wait_for_timeout(1000)
    assert asked == []
    page.close()
