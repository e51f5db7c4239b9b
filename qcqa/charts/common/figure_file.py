"""A figure as a file: a page that needs no network, or a picture drawn by a browser.

Plotly draws in browsers only. A Chromium, Chrome or Edge that is installed here draws pictures in
a process of its own, which ends at once; no Python package and no network is needed for it.
"""

import os
import re
import shutil
import subprocess
from base64 import b64decode
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal
from urllib.parse import unquote_to_bytes

import plotly.graph_objects as go

from qcqa.charts.common.markup import in_chart
from qcqa.errors import ExportError
from qcqa.files.writing import write_bytes_atomically

FigureFormat = Literal["html", "png", "svg"]
FIGURE_FORMATS: tuple[FigureFormat, ...] = ("html", "png", "svg")

#: As other tools that draw Plotly's figures know it.
BROWSER_VARIABLE = "BROWSER_PATH"

#: What to do where there is no browser.
BROWSER_REMEDY = f"install Chromium or Chrome, or set {BROWSER_VARIABLE}; HTML needs neither"

_BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
    "msedge",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
)
_FLAGS = (
    "--headless",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # The page is ours and asks for nothing; without rights of its own no sandbox starts in a
    # container.
    "--no-sandbox",
    # Time stands still for the page until it has nothing more to do.
    "--virtual-time-budget=60000",
    "--dump-dom",
)
_SECONDS = 120

#: Pixels of a picture per pixel of the layout: sharp in print.
PNG_SCALE = 2

_WIDTH, _HEIGHT = 960, 440

#: Room in pixels above the plot, for the title's two lines and a legend, and below it.
_TITLE, _LEGEND, _BELOW = 84, 36, 56


def titled(figure: go.Figure, title: str, subtitle: str = "") -> go.Figure:
    """Return a copy that stands for itself: with a title, a white page and a size of its own.

    Parameters
    ----------
    figure : Figure
        Drawn for a page that has title and theme of its own.
    title, subtitle : str
        Two lines above the chart; plain text.
    """
    copy = go.Figure(figure)
    top = _TITLE + (_LEGEND if copy.layout.showlegend is not False else 16)
    height = (copy.layout.height or _HEIGHT) + top
    copy.update_layout(
        template="plotly_white",
        paper_bgcolor="white",
        font={"family": "Helvetica, Arial, sans-serif", "size": 13, "color": "#262730"},
        title={
            "text": f"<b>{in_chart(title)}</b><br><sup>{in_chart(subtitle)}</sup>",
            "x": 0,
            "xref": "paper",
            "xanchor": "left",
            "y": 1 - 28 / height,
            "yref": "container",
            "yanchor": "top",
            "font": {"size": 18},
        },
        margin={"l": 60, "r": 24, "t": top, "b": _BELOW},
        width=_WIDTH,
        height=height,
    )
    return copy


def figure_html(figure: go.Figure) -> str:
    """Return a page that draws the figure in any browser, without a network."""
    page: str = figure.to_html(
        include_plotlyjs=True, full_html=True, config={"displaylogo": False, "responsive": True}
    )
    return page


def figure_image(figure: go.Figure, kind: Literal["png", "svg"]) -> bytes:
    """Return the figure as a picture, drawn by a browser.

    Parameters
    ----------
    figure : Figure
        With a width and a height, as :func:`titled` returns it.
    kind : {"png", "svg"}
        Pixels, twice as many as the layout has, or lines.

    Raises
    ------
    ExportError
        If there is no browser, or it draws nothing.
    """
    browser = find_browser()
    if browser is None:
        raise ExportError(f"no browser to draw a {kind.upper()} with", remedy=BROWSER_REMEDY)
    scale = PNG_SCALE if kind == "png" else 1
    script = (
        f"Plotly.toImage('{{plot_id}}', {{format: '{kind}', scale: {scale}}}).then(url => {{"
        "document.head.replaceChildren();"
        "document.body.textContent = 'drawn:' + url + ':drawn'; })"
    )
    page = figure.to_html(
        include_plotlyjs=True, config={"displayModeBar": False}, post_script=script
    )
    with TemporaryDirectory(prefix="qcqa-figure-") as folder:
        file = Path(folder) / "figure.html"
        file.write_text(page, encoding="utf-8")
        command = [browser, *_FLAGS, f"--user-data-dir={folder}/profile", file.as_uri()]
        try:
            done = subprocess.run(
                command, capture_output=True, timeout=_SECONDS, check=False, text=True
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ExportError(
                f"{browser} could not draw ({error})", remedy=BROWSER_REMEDY
            ) from error
    found = re.search(r"drawn:data:image/[a-z+]+;?([^,]*),(.*):drawn", done.stdout, re.DOTALL)
    if found is None:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise ExportError(f"{browser} drew nothing ({last})", remedy=BROWSER_REMEDY)
    encoding, content = found.groups()
    return b64decode(content) if "base64" in encoding else unquote_to_bytes(content)


def figure_bytes(figure: go.Figure, kind: FigureFormat) -> bytes:
    """Return the content of a figure's file.

    Raises
    ------
    ExportError
        As :func:`figure_image`.
    """
    return figure_html(figure).encode() if kind == "html" else figure_image(figure, kind)


def save_figure(figure: go.Figure, path: Path) -> None:
    """Write a figure, in the format that the file's name says, atomically.

    Raises
    ------
    ExportError
        If it says no known one, the file cannot be written, or a picture cannot be drawn.
    """
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FIGURE_FORMATS:
        raise ExportError(
            f"{path} ends in {path.suffix!r}",
            expected=f"one of {', '.join('.' + ending for ending in FIGURE_FORMATS)}",
        )
    content = figure_bytes(figure, kind)
    try:
        write_bytes_atomically(path, content)
    except OSError as error:
        raise ExportError(f"{path} cannot be written ({error.strerror})") from error


def find_browser() -> str | None:
    """Return the program of a browser that can draw without a window, or None."""
    named = os.environ.get(BROWSER_VARIABLE)
    names = (named,) if named else _BROWSERS
    return next(filter(None, map(shutil.which, names)), None)
