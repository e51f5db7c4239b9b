"""Runs that are empty, odd or broken show as what they are, and never as a traceback."""

import json
from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from qcqa.errors import RunError
from qcqa.jobs.run import Run
from qcqa.jobs.status import State

OpenApp = Callable[..., AppTest]
MakeRun = Callable[..., Run]


def _alerts(app: AppTest) -> str:
    return " ".join(alert.value for alert in (*app.error, *app.warning))


def _edit_config(run: Run, **changes: object) -> None:
    path = run.folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_no_run_at_all_says_what_to_do(open_app: OpenApp) -> None:
    app = open_app()
    assert [heading.value for heading in app.subheader] == ["No search yet"]
    app.button(key="first_search").click().run()
    assert not app.exception
    assert app.button(key="start_search")


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("failed", "disk full"),
        ("cancelled", "What was finished is kept"),
        # Nobody holds the lock of a run that says it is at work.
        ("running", "ended without a word"),
    ],
)
def test_stopped_run_says_why_and_can_be_resumed(
    make_run: MakeRun, open_app: OpenApp, state: State, said: str
) -> None:
    make_run(state=state, error="disk full" if state == "failed" else None)
    app = open_app()
    assert said in _alerts(app)
    assert app.button(key="resume_run")
    # What there is of the result is shown.
    assert app.metric


@pytest.mark.parametrize("state", ["cancelled", "failed", "running"])
def test_stopped_run_without_a_result_shows_no_empty_chart(
    make_run: MakeRun, open_app: OpenApp, state: State
) -> None:
    make_run(state=state, with_result=False)
    app = open_app()
    assert not app.get("plotly_chart")
    assert app.button(key="resume_run")


def test_resume_starts_a_worker(
    make_run: MakeRun, open_app: OpenApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(state="cancelled")
    started = []
    monkeypatch.setattr("ui.workers.start_again", lambda again: started.append(again.id))
    app = open_app()
    app.button(key="resume_run").click().run()
    assert not app.exception
    assert started == [run.id]


def test_resume_that_is_refused_says_so_once(
    make_run: MakeRun, open_app: OpenApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_run: Run) -> None:
        raise RunError("the run is busy")

    make_run(state="cancelled")
    monkeypatch.setattr("ui.workers.start_again", refuse)
    app = open_app()
    app.button(key="resume_run").click().run()
    assert not app.exception
    assert [error.value for error in app.error] == ["the run is busy"]
    assert not app.run().error


@pytest.mark.parametrize(("num_layers", "num_heads"), [(1, 8), (1, 1), (80, 64)])
def test_any_size_of_model_is_drawn(
    make_run: MakeRun, open_app: OpenApp, num_layers: int, num_heads: int
) -> None:
    make_run(num_layers=num_layers, num_heads=num_heads)
    app = open_app(budget="60")
    assert not app.error
    assert len(app.metric) == 3


def test_long_names_and_markup_are_only_names(make_run: MakeRun, open_app: OpenApp) -> None:
    name = "x" * 300 + " <b>**:red[$\\alpha$]** ../.. \u202e"
    make_run(name=name)
    make_run(name=name)
    app = open_app()
    assert len(set(app.selectbox(key="run_list").options)) == 2


def test_run_of_a_newer_format_is_refused_in_one_line(make_run: MakeRun, open_app: OpenApp) -> None:
    run = make_run()
    _edit_config(run, version=99)
    app = open_app(run=run.id)
    (error,) = app.error
    assert "version 99" in error.value
    assert "\n" not in error.value


@pytest.mark.parametrize("file", ["config.json", "status.json"])
def test_damaged_file_is_one_line(make_run: MakeRun, open_app: OpenApp, file: str) -> None:
    run = make_run()
    (run.folder / file).write_text("{")
    app = open_app()
    (error,) = app.error
    assert file in error.value
    assert "\n" not in error.value


@pytest.mark.parametrize("file", ["gqa.plans.parquet", "lower_bound.parquet"])
def test_damaged_result_is_one_line(make_run: MakeRun, open_app: OpenApp, file: str) -> None:
    run = make_run()
    (run.folder / "fronts" / file).write_bytes(b"no table")
    app = open_app()
    (error,) = app.error
    assert file in error.value
    assert "\n" not in error.value


def test_one_broken_run_does_not_hide_the_others(make_run: MakeRun, open_app: OpenApp) -> None:
    broken, whole = make_run(name="Broken"), make_run(name="Whole")
    _edit_config(broken, format="something else")
    app = open_app()
    assert not app.error
    assert len(app.selectbox(key="run_list").options) == 2
    app.selectbox(key="run_list").set_value(broken.id).run()
    assert not app.exception
    assert len(app.error) == 1
    assert app.query_params["run"] == broken.id
    app.selectbox(key="run_list").set_value(whole.id).run()
    assert app.metric


def test_link_to_a_run_that_is_not_here(make_run: MakeRun, open_app: OpenApp) -> None:
    make_run()
    app = open_app(run="20200101-000000-gone-abcd")
    assert "not here" in _alerts(app)
    assert app.metric
