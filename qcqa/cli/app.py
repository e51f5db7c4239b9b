"""``qcqa app``: open the dashboard."""

import os
from pathlib import Path
from typing import Annotated

import typer

from qcqa.errors import SettingsError
from qcqa.jobs.home import RUNS_VARIABLE
from qcqa.packaged import app_folder
from qcqa.user_path import is_folder, user_path


def app(
    port: Annotated[
        int, typer.Option("--port", min=1, max=65535, help="Port to listen on.")
    ] = 8501,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; only this machine by default.")
    ] = "127.0.0.1",
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

    Examples
    --------
        qcqa app

        qcqa app --port 8600 --runs ./runs --no-browser
    """
    if runs is not None:
        if is_folder(runs) is False:
            raise SettingsError(f"--runs {runs}", expected="a folder")
        os.environ[RUNS_VARIABLE] = str(runs.resolve())
    # In this process, which has imported most of what the pages need: signals and the exit code
    # are Streamlit's own.
    from streamlit.web.cli import main as streamlit

    try:
        streamlit(_arguments(host, port, no_browser), prog_name="streamlit")
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {host}, port {port}: {error.strerror}",
            remedy="choose another --host or --port",
        ) from error


def _arguments(host: str, port: int, no_browser: bool) -> list[str]:
    options = {
        "server.address": host,
        "server.port": str(port),
        "server.headless": str(no_browser).lower(),
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    return ["run", str(app_folder() / "main.py"), *flags]
