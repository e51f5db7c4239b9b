"""The page Help: the same for everybody, with or without runs."""

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from qcqa.jobs.run import Run
from qcqa.packaged import demo_run_folder

OpenApp = Callable[..., AppTest]


def _pictures(app: AppTest) -> list[object]:
    return [one for name in ("imgs", "image") for one in app.get(name)]


def test_help_needs_no_run(open_app: OpenApp) -> None:
    app = open_app("help")
    assert not app.error
    assert not app.get("plotly_chart")
    assert any("lower bound" in text.value for text in app.markdown)
    assert len(_pictures(app)) == 4
    assert len(app.expander) == 5
    assert any("arxiv.org/abs/2406.10247" in text.value for text in app.markdown)


def test_chart_of_the_included_run_is_explained(
    open_app: OpenApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qcqa.jobs.store.demo_run_folder", demo_run_folder)
    app = open_app("help")
    assert [chart.key for chart in app.get("plotly_chart")] == ["reading_chart"]


def test_help_keeps_the_choices(make_run: Callable[..., Run], open_app: OpenApp) -> None:
    run = make_run()
    app = open_app("help", run=run.id, budget="30")
    assert (app.query_params["run"], app.query_params["budget"]) == (run.id, "30")
