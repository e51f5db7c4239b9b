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
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("ended_by", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_well(
    start: Callable[..., Server], ended_by: signal.Signals
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    server = start("--port", str(port))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not _answers(port):
        assert server.poll() is None
        assert time.monotonic() < deadline
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
