"""Figures as files: pages that need no network, and pictures that a browser draws."""

import base64
import os
import shutil
import struct
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from qcqa.charts.common.figure_file import (
    BROWSER_VARIABLE,
    figure_html,
    figure_image,
    find_browser,
    save_figure,
)
from qcqa.charts.common.kv_axis import KvAxis
from qcqa.charts.fronts.chart import front_chart, grouping_chart
from qcqa.errors import ExportError
from qcqa.model.spec import ModelSpec
from qcqa.pick.plan import plan_of_result
from qcqa.plan.budget import CacheLoad
from qcqa.plan.plan import Measurement, Plan, Prediction
from qcqa.reduce.groups.grouping import Grouping, LayerGrouping
from qcqa.search.result import SearchResult

#: Bits per token of one head of the model: 4 elements of 16 bits.
HEAD = 64

wants_browser = pytest.mark.skipif(find_browser() is None, reason="no browser is here")


@pytest.fixture
def axis(result: SearchResult, load: CacheLoad) -> KvAxis:
    return KvAxis(result.spec, load)


def test_a_chart_says_of_itself_what_it_shows(result: SearchResult, axis: KvAxis) -> None:
    figure = front_chart(result, axis, name="A <b>run</b>\nof mine", budget=0.375)
    title = figure.layout.title.text
    assert "A &lt;b&gt;run&lt;/b&gt; of mine: relative WSE against KV-cache size" in title
    assert "llama, 3 layers \N{MULTIPLICATION SIGN} 8 KV heads" in title
    assert "budget 37.5 %" in title
    # It stands for itself: no theme of a page, no see-through background.
    assert figure.layout.template.layout.plot_bgcolor == "white"
    assert figure.layout.paper_bgcolor == "white"
    assert figure.layout.width
    assert figure.layout.height
    assert len(front_chart(result, axis, name="x" * 500).layout.title.text) < 200


def test_measured_metric_on_the_axis(result: SearchResult, axis: KvAxis, measure: Any) -> None:
    # What has a log-likelihood is a text.
    text = (Measurement("heldout/nll", 2.0),)
    rows = [measure(extra=text), measure("gqa", 24, accuracy=0.5, extra=text)]
    figure = front_chart(result, axis, name="Run", vertical="heldout/accuracy", rows=rows)
    assert "next-token accuracy, measured," in figure.layout.title.text
    with pytest.raises(ExportError, match="'nothing'; expected one of relative, absolute, gap"):
        front_chart(result, axis, name="Run", vertical="nothing", rows=rows)


def test_page_needs_no_network(result: SearchResult, axis: KvAxis) -> None:
    page = figure_html(front_chart(result, axis, name="</script><script>alert(1)"))
    assert "Plotly.newPlot" in page
    # All of plotly.js is inside, and nothing is fetched.
    assert len(page) > 3_000_000
    assert "<script src=" not in page
    assert "cdn.plot.ly" not in page.split("Plotly.newPlot")[-1]
    assert "</script><script>alert" not in page


def _size_of_png(content: bytes) -> tuple[int, int]:
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", content[16:24])
    return width, height


@wants_browser
def test_pictures_are_drawn(result: SearchResult, axis: KvAxis, tmp_path: Path) -> None:
    figure = front_chart(result, axis, name="Größe & <Maß> 100 %", budget=0.5)
    save_figure(figure, tmp_path / "front.PNG")
    size = _size_of_png((tmp_path / "front.PNG").read_bytes())
    assert size == (2 * figure.layout.width, 2 * figure.layout.height)
    svg = figure_image(figure, "svg").decode()
    assert svg.startswith("<svg")
    assert "Größe & <Maß> 100 %" in unescape(svg)
    assert "Lower bound" in svg
    assert [path.name for path in tmp_path.iterdir()] == ["front.PNG"]


@wants_browser
def test_the_largest_grouping_is_drawn_whole() -> None:
    spec = ModelSpec("m", None, "llama", 80, 64, 64, 4, 8, False, "float32")
    layer = LayerGrouping(Grouping.contiguous(64, 8), Grouping.contiguous(64, 16))
    plan = Plan(spec, "0", "optimal", "mean", (layer.choice,) * 80, Prediction(1.0, 0.5))
    figure = grouping_chart(plan, name="Large")
    size = _size_of_png(figure_image(figure, "png"))
    assert size == (2 * figure.layout.width, 2 * figure.layout.height)


def test_plan_of_one_layer(result: SearchResult) -> None:
    plan = plan_of_result(result, 24 * HEAD, method="gqa")
    figure = grouping_chart(plan, name="Run")
    assert "heads that share, GQA at 50.0 % of the KV cache" in figure.layout.title.text


def test_without_a_browser_it_is_said_what_to_do(
    result: SearchResult, axis: KvAxis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    figure = front_chart(result, axis, name="Run")
    for kind in ("png", "svg"):
        with pytest.raises(ExportError, match="install Chromium or Chrome") as error:
            save_figure(figure, tmp_path / f"front.{kind}")
        assert "\n" not in error.value.one_line()
    save_figure(figure, tmp_path / "front.html")
    assert [path.name for path in tmp_path.iterdir()] == ["front.html"]


@pytest.mark.skipif(os.name != "posix", reason="scripts stand for browsers")
def test_a_browser_that_draws_nothing_is_one_line(
    result: SearchResult, axis: KvAxis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = tmp_path / "browser"
    browser.write_text("#!/bin/sh\necho 'no display' >&2\nexit 1\n")
    browser.chmod(0o755)
    monkeypatch.setenv(BROWSER_VARIABLE, str(browser))
    with pytest.raises(ExportError, match=r"drew nothing \(no display\)") as error:
        figure_image(front_chart(result, axis, name="Run"), "png")
    assert "\n" not in error.value.one_line()


@pytest.mark.skipif(os.name != "posix", reason="scripts stand for browsers")
def test_a_named_browser_is_asked_without_a_window(
    result: SearchResult, axis: KvAxis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = base64.b64encode(b"picture").decode()
    browser = tmp_path / "browser"
    browser.write_text(
        f'#!/bin/sh\necho "$@" > "{tmp_path}/asked"\n'
        f"echo '<body>drawn:data:image/png;base64,{picture}:drawn</body>'\n"
    )
    browser.chmod(0o755)
    monkeypatch.setenv(BROWSER_VARIABLE, str(browser))
    assert figure_image(front_chart(result, axis, name="Run"), "png") == b"picture"
    assert "--headless" in (tmp_path / "asked").read_text().split()


def test_unknown_formats_and_folders_are_refused(
    result: SearchResult, axis: KvAxis, tmp_path: Path
) -> None:
    figure = front_chart(result, axis, name="Run")
    for name in ("front.jpg", "front"):
        with pytest.raises(ExportError, match=r"expected one of \.html, \.png, \.svg"):
            save_figure(figure, tmp_path / name)
    with pytest.raises(ExportError, match="cannot be written"):
        save_figure(figure, tmp_path / "nowhere" / "front.html")
