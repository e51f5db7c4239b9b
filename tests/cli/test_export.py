"""``qcqa export``: charts, tables and code as files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from qcqa.charts.common.figure_file import find_browser

Qcqa = Callable[..., Any]


@pytest.mark.parametrize("show", ["fronts", "groups"])
def test_chart_as_a_page(qcqa: Qcqa, run_folder: Path, tmp_path: Path, show: str) -> None:
    out = tmp_path / "chart.html"
    called = qcqa("export", "chart", run_folder, "--show", show, "-b", "25%", "-o", out, "--json")
    assert called.code == 0, called.err
    assert json.loads(called.out) == {"file": str(out), "bytes": out.stat().st_size}
    page = out.read_text(encoding="utf-8")
    assert "tiny-llama" in page
    assert ("heads that share" in page) == (show == "groups")


@pytest.mark.skipif(find_browser() is None, reason="no browser is here")
def test_chart_as_a_picture(qcqa: Qcqa, run_folder: Path, tmp_path: Path) -> None:
    called = qcqa("export", "chart", run_folder, "-o", tmp_path / "chart.svg")
    assert called.code == 0, called.err
    assert "tiny-llama: relative WSE" in (tmp_path / "chart.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("chart", "-o", "chart.jpg"), "expected one of .html, .png, .svg"),
        (("chart", "-o", "x.html", "--vertical", "loss"), "vertical axis 'loss'; expected one of"),
        (("chart", "-o", "x.html", "--budget", "much"), "budget 'much'"),
        (("chart", "-o", "x.html", "--show", "groups", "-m", "best"), "method 'best'"),
        (("table", "-o", "x.csv", "--show", "measured"), "nothing was measured"),
        (("table", "-o", "/nowhere/x.csv"), "cannot be written"),
        (("code", "--budget", "0.01"), "expected at least"),
    ],
)
def test_what_cannot_be_written_is_one_line(
    qcqa: Qcqa,
    run_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    command, *options = arguments
    called = qcqa("export", command, run_folder, *options)
    assert called.code == 2
    assert said in called.err
    assert called.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_tables(qcqa: Qcqa, run_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "table.csv"
    called = qcqa("export", "table", run_folder, "--budget", "0.5", "-o", out)
    assert called.code == 0, called.err
    methods = pd.read_csv(out, index_col="name")
    assert {"gqa", "mqa", "optimal", "qcqa-ac-wse", "qcqa-ec-wse", "mha"} == set(methods.index)
    assert methods.loc["optimal", "KV ratio"] == 0.5
    called = qcqa("export", "table", run_folder, "--show", "front", "-o", out)
    assert called.code == 0, called.err
    front = pd.read_csv(out)
    at_half = front[(front["name"] == "optimal") & (front["KV ratio"] == 0.5)]
    assert at_half["WSE"].item() == pytest.approx(methods.loc["optimal", "WSE"])


def test_code(qcqa: Qcqa, run_folder: Path, tmp_path: Path) -> None:
    called = qcqa("export", "code", run_folder, "--budget", "0.5", "-m", "gqa")
    assert called.code == 0, called.err
    assert [line.split()[1] for line in called.out.replace("\\\n", "").splitlines()] == [
        "search",
        "evaluate",
        "plan",
        "convert",
    ]
    out = tmp_path / "again.py"
    qcqa("export", "code", run_folder, "--budget", "0.5", "--python", "-o", out)
    compile(out.read_text(encoding="utf-8"), str(out), "exec")
