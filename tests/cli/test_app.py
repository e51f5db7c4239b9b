"""``qcqa app``: how it ends. Its pages are tested in tests/app and in tests/browser."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

PATIENCE_SECONDS = 90

Server = subprocess.Popen[str]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Return a starter of servers; what is left of them is ended."""
    started: list[Server] = []

    def begin(*options: str) -> Server:
        server = subprocess.Popen(
            [sys.executable, "-m", "qcqa", "app", "--no-browser", *options],
            env=os.environ | {"QCQA_HOME": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(server)
        return server

    yield begin
    for server in started:
        server.kill()
        server.communicate()


def _answers(port: int) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health"):
        return True
    return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def _asked(port: int, path: str = "/", **headers: str) -> HTTPResponse:
    """Return the answer to a request, whose names of headers have lines below for dashes."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("GET", path, headers=told)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


def _is_let_in(port: int, **headers: str) -> bool:
    """Return whether a websocket is opened, on which the dashboard would run its pages."""
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    origin, host = told.pop("Origin", None), told.pop("Host", f"127.0.0.1:{port}")
    address = f"ws://{host}/_stcore/stream"
    with socket.create_connection(("127.0.0.1", port)) as sock:
        try:
            with connect(address, sock=sock, origin=origin, additional_headers=told):
                return True
        except InvalidStatus:
            return False


def _started(start: Callable[..., Server], *options: str) -> tuple[int, Server]:
    """Start a server on a free port, and return both once it listens."""
    port = _free_port()
    server = start("--port", str(port), *options)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        assert server.poll() is None, server.communicate()
        assert time.monotonic() < deadline
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return port, server
        time.sleep(0.1)


def test_other_origins_and_other_names_are_refused(start: Callable[..., Server]) -> None:
    port, _ = _started(start, "--served-as", "Models.example")
    own = f"http://127.0.0.1:{port}"
    assert _asked(port).status == 200
    assert _is_let_in(port, Origin=own)
    # A program of this machine is no page, and says no origin.
    assert _is_let_in(port)
    assert _is_let_in(port, Host="models.example", Origin="https://models.example")
    for origin in (
        "http://127.0.0.1:9", f"http://localhost:{port}", f"http://evil.localhost:{port}", "null",
        "http://evil.test", f"http://127.0.0.1:{port}@evil.test",
    ):  # fmt: skip
        assert not _is_let_in(port, Origin=origin), origin
        assert _asked(port, Origin=origin).status == 403
    # A name that its owner has pointed at this machine: there both are the same.
    for host in (f"evil.test:{port}", f"evil.localhost:{port}", f"127.0.0.1.evil.test:{port}"):
        assert not _is_let_in(port, Host=host, Origin=f"http://{host}")
        assert _asked(port, Host=host).status == 403
    # A picture in another page; a link in it, which the reader follows.
    assert _asked(port, Sec_Fetch_Site="same-site", Sec_Fetch_Mode="no-cors").status == 403
    assert _asked(port, Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate").status == 200


def test_where_others_reach_the_port_nothing_is_had_without_the_token(
    start: Callable[..., Server],
) -> None:
    port, server = _started(start, "--host", "0.0.0.0")
    assert server.stdout is not None
    address, warning = server.stdout.readline(), server.stdout.readline()
    assert warning.startswith("Warning: whoever has this address can read files by their paths")
    token = address.strip().rpartition("?token=")[2]
    assert len(token) > 40
    for path in (
        "/",
        "/runs",
        "/_stcore/health",
        "/media/x.zip",
        "/?token=",
        "/?token=" + token[1:],
    ):
        assert _asked(port, path).status == 403, path
    assert not _is_let_in(port)
    assert not _is_let_in(port, Cookie=f"qcqa-{port}={token}x")

    welcome = _asked(port, f"//evil.test/runs?run=demo&token={token}")
    assert (welcome.status, welcome.headers["Location"]) == (303, "/evil.test/runs?run=demo")
    cookie = welcome.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    shown = cookie.partition(";")[0]
    assert _asked(port, Cookie=shown).status == 200
    assert _is_let_in(port, Cookie=shown)
    assert not _is_let_in(port, Cookie=shown, Origin="http://evil.test")
    server.send_signal(signal.SIGTERM)
    said, _ = server.communicate(timeout=PATIENCE_SECONDS)
    assert token not in said


def test_a_token_can_be_asked_for_and_done_without(start: Callable[..., Server]) -> None:
    asked, _ = _started(start, "--token")
    assert _asked(asked).status == 403
    without, server = _started(start, "--host", "0.0.0.0", "--no-token")
    assert _asked(without).status == 200
    assert server.stdout is not None
    server.stdout.readline()
    assert server.stdout.readline().startswith("Warning: whoever reaches this port can read files")


@pytest.mark.parametrize("ended_by", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_well(
    start: Callable[..., Server], ended_by: signal.Signals
) -> None:
    port, server = _started(start)
    while not _answers(port):
        time.sleep(0.1)
    server.send_signal(ended_by)
    said, _ = server.communicate(timeout=PATIENCE_SECONDS)
    assert server.returncode == 0, said
    assert "Traceback" not in said


def test_a_port_in_use_is_said(start: Callable[..., Server]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        server = start("--port", port)
        said, _ = server.communicate(timeout=PATIENCE_SECONDS)
    assert server.returncode == 1
    assert f"Port {port} is not available" in said


def test_an_address_of_another_machine_is_refused_in_one_line(
    start: Callable[..., Server],
) -> None:
    # Of a range that is kept for documentation (RFC 5737).
    server = start("--host", "192.0.2.1")
    said, _ = server.communicate(timeout=PATIENCE_SECONDS)
    assert server.returncode == 2
    assert said.startswith("qcqa: cannot listen on 192.0.2.1")
    assert said.count("\n") == 1
