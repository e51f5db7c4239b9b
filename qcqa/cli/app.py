"""``qcqa app``: open the dashboard."""

import json
import os
import secrets
import signal
import socket
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any

import typer

from qcqa.errors import SettingsError
from qcqa.files.user_path import is_folder, user_path
from qcqa.jobs.home import ROOT_VARIABLE, RUNS_VARIABLE
from qcqa.packaged import app_folder

#: By which this machine calls itself, and nobody else can.
_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


def app(
    port: Annotated[
        int, typer.Option("--port", min=1, max=65535, help="Port to listen on.")
    ] = 8501,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; only this machine by default.")
    ] = "127.0.0.1",
    token: Annotated[
        bool | None,
        typer.Option(
            "--token/--no-token",
            help="Whether only who knows a random token gets in; by default where other machines "
            "can reach the port.",
        ),
    ] = None,
    served_as: Annotated[
        list[str] | None,
        typer.Option(
            "--served-as", metavar="NAME", help="Name under which a proxy of yours serves it."
        ),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(
            "--root",
            parser=user_path,
            metavar="PATH",
            help="Folder to which paths in forms are limited.",
        ),
    ] = None,
    runs: Annotated[
        Path | None,
        typer.Option(
            "--runs",
            parser=user_path,
            metavar="PATH",
            help="Folder of the runs; your own by default.",
        ),
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Do not open a browser.")
    ] = False,
) -> None:
    """Open the dashboard on the demo model and your runs.

    Whoever reaches the port can read files by their paths and run jobs, with your rights: let
    nobody but yourself, by a token in the address, or by an SSH tunnel to a port of this machine.

    Examples
    --------
        qcqa app

        qcqa app --port 8600 --runs ./runs --no-browser

        qcqa app --host 0.0.0.0 --root /data/models
    """
    if runs is not None:
        if is_folder(runs) is False:
            raise SettingsError(f"--runs {runs}", expected="a folder")
        os.environ[RUNS_VARIABLE] = str(runs.resolve())
    if root is not None:
        if not is_folder(root):
            raise SettingsError(f"--root {root}", expected="a folder that is there")
        os.environ[ROOT_VARIABLE] = str(root.resolve())
    how = _how(host, port, served_as or [], has_token=token, opens=not no_browser)
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        # The server has shut down when it comes to this, and sends itself the signal once more.
        signal.signal(signal_number, lambda *_: sys.exit(0))
    # In this process, which has imported most of what the pages need: signals and the exit code
    # are Streamlit's own.
    from streamlit.web.cli import main as streamlit

    try:
        streamlit(_arguments(host, port, how), prog_name="streamlit")
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {host}, port {port}: {error.strerror}",
            remedy="choose another --host or --port",
        ) from error


def _how(
    host: str, port: int, names: list[str], *, has_token: bool | None, opens: bool
) -> dict[str, Any]:
    """Return what ``serve.py`` in the dashboard's folder is told."""
    is_local = host in _LOCAL_NAMES or _is_loopback(host)
    needs_token = not is_local if has_token is None else has_token
    token = secrets.token_urlsafe(32) if needs_token else None
    # Of all addresses: people elsewhere know the machine by its name.
    shown = socket.gethostname() if host in ("0.0.0.0", "::") else host
    shown = f"[{shown}]" if ":" in shown else shown
    address = f"http://{shown}:{port}/" + (f"?token={token}" if token else "")
    said = [f"QCQA Explorer: {address}"]
    if not is_local:
        who = "has this address" if token else "reaches this port"
        said.append(
            f"Warning: whoever {who} can read files by their paths and run jobs, with your rights; "
            "what is sent is not encrypted. See --root, and the last part of the README."
        )
    return {
        "said": said,
        "address": address,
        "opens": opens,
        "token": token,
        # All names of this machine cannot be known: elsewhere the token guards.
        "hosts": [name.lower() for name in (*_LOCAL_NAMES, host, shown, *names)]
        if is_local or token is None
        else [],
    }


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _arguments(host: str, port: int, how: dict[str, Any]) -> list[str]:
    options = {
        "server.address": host,
        "server.port": str(port),
        "server.headless": "true",  # the browser is opened by what is served
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
        # It would ask another machine for the address of this one.
        "logger.hideWelcomeMessage": "true",
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    # Behind the dashes: for the script, and seen by no other process.
    return ["run", str(app_folder() / "serve.py"), *flags, "--", json.dumps(how)]
