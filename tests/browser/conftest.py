"""The dashboard as people get it: ``qcqa app`` in a process of its own, seen in Chromium."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from qcqa.errors import RunError
from qcqa.jobs.launch import cancel
from qcqa.jobs.run import open_run
from qcqa.jobs.status import LIVE_STATES
from qcqa.packaged import app_folder

#: A machine that is busy with other things may take this long for anything.
PATIENCE_MS = 90_000

#: A line of a traceback through a page: when a page is closed, the server's own
#: libraries may complain of the lost connection.
_OUR_FRAME = re.compile(rf'File "{re.escape(str(app_folder()))}/')

_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, _NAMES)), None)
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip this folder's tests where there is no browser."""
    if CHROMIUM is None:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=f"none of {', '.join(_NAMES)} is here"))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the home of the dashboard's runs; workers that are left in it are ended."""
    folder = tmp_path_factory.mktemp("home")
    yield folder
    for run_folder in (folder / "runs").glob("*"):
        with suppress(RunError):  # a damaged run has no worker
            run = open_run(run_folder)
            if run.status().state in LIVE_STATES:
                cancel(run)


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    """Start the dashboard and return its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("STREAMLIT_")
    }
    environment |= {"QCQA_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    environment.pop("QCQA_RUNS", None)
    log = home / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "qcqa", "app", "--port", str(port), "--no-browser"],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    base = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while not _answers(f"{base}/_stcore/health"):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield base
        assert not _OUR_FRAME.search(log.read_text()), log.read_text()
    finally:
        server.terminate()
        server.wait(timeout=30)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_FLAGS))
        yield chromium
        chromium.close()


OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, address: str) -> Iterator[OpenPage]:
    """Return an opener of the dashboard in a fresh window.

    Afterwards nothing may have been asked of another machine, and no script may have failed.
    """
    contexts = []
    foreign: list[str] = []
    problems: list[str] = []

    def opened(
        path: str = "/", *, width: int = 1280, height: int = 900, dark: bool = False
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            accept_downloads=True,
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("request", lambda r: None if _is_local(r.url, address) else foreign.append(r.url))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(address + path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not foreign
    assert not problems


def _is_local(url: str, address: str) -> bool:
    return url.startswith((address, address.replace("http", "ws"), "data:", "blob:"))


def _answers(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(url, timeout=5) as reply:
        return bool(reply.status == 200)
    return False
