"""The form that starts a search, and a search at work."""

from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from streamlit.testing.v1 import AppTest

from qcqa.runs.run import Run
from qcqa.runs.store import list_runs
from qcqa.use_cases.presets import PRESETS

OpenApp = Callable[..., AppTest]
MakeRun = Callable[..., Run]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """Return the runs for which a worker would have been started."""
    runs: list[Run] = []
    monkeypatch.setattr("ui.workers.start", runs.append)
    return runs


@pytest.fixture
def form() -> AppTest:
    """Return the form by itself: a dialog closes when the whole page is run again."""

    def page() -> None:
        from ui.new_search import search_form

        search_form()

    return AppTest.from_function(page, default_timeout=60).run()


def test_search_of_the_demo_model_is_started(form: AppTest, started: list[Run]) -> None:
    app = form
    app.button_group(key="new_effort").set_value("Quick").run()
    app.button_group(key="new_methods").set_value(["qcqa-ec"]).run()
    app.number_input(key="new_seed_Quick").set_value(7)
    app.button(key="start_search").click().run()
    assert not app.exception
    (run,) = started
    assert run.config.model == "demo"
    assert run.config.methods == ("qcqa-ec",)
    assert run.config.settings.seed == 7
    assert run.config.settings.generations == 30
    assert app.query_params["run"] == run.id


def test_folder_is_looked_at_before_anything_is_started(
    form: AppTest, started: list[Run], tiny_llama: Path
) -> None:
    app = form
    app.button_group(key="new_model").set_value("Local folder").run()
    assert app.button(key="start_search").disabled
    app.text_input(key="new_folder").set_value(str(tiny_llama / "nothing")).run()
    assert "There is no folder" in app.error[0].value
    assert app.button(key="start_search").disabled
    app.text_input(key="new_folder").set_value(str(tiny_llama)).run()
    assert not app.error
    assert any("4 layers" in caption.value for caption in app.caption)
    app.button(key="start_search").click().run()
    assert [run.config.model for run in started] == [str(tiny_llama)]


def test_folder_that_is_no_checkpoint_is_refused_in_one_line(
    form: AppTest, started: list[Run], tmp_path: Path
) -> None:
    app = form
    app.button_group(key="new_model").set_value("Local folder").run()
    app.text_input(key="new_folder").set_value(str(tmp_path)).run()
    (error,) = app.error
    assert "\n" not in error.value
    assert not started
    assert not list_runs()


def test_button_opens_the_form(make_run: MakeRun, open_app: OpenApp) -> None:
    make_run()
    app = open_app()
    app.button(key="new_search").click().run()
    assert not app.exception
    assert app.button(key="start_search")
    # A run at work draws the page anew: the form stays, with what was chosen in it.
    app.button_group(key="new_effort").set_value("Thorough").run()
    assert app.run().button_group(key="new_effort").value == "Thorough"


def test_no_method_no_search(form: AppTest) -> None:
    app = form
    app.button_group(key="new_methods").set_value([]).run()
    assert not app.exception
    assert app.button(key="start_search").disabled


def test_every_preset_is_explained(form: AppTest) -> None:
    (radio,) = form.radio
    assert radio.value == "paper"
    assert radio.options == ["As published", "Best quality"]
    assert list(radio.proto.captions) == [preset.description for preset in PRESETS.values()]


def test_best_search_of_the_demo_brings_its_own_text(form: AppTest, started: list[Run]) -> None:
    app = form
    app.radio(key="new_preset").set_value("best").run()
    assert not app.exception
    assert any("two to five minutes" in caption.value for caption in app.caption)
    app.button_group(key="new_methods").set_value(["qcqa-ac"]).run()
    app.button(key="start_search").click().run()
    (run,) = started
    assert run.config.methods == ("qcqa-ac", "best")
    assert run.config.calibration == "demo"


def test_best_search_of_another_model_asks_for_a_text(
    form: AppTest, started: list[Run], tiny_llama: Path, tmp_path: Path
) -> None:
    app = form
    app.button_group(key="new_model").set_value("Local folder").run()
    app.text_input(key="new_folder").set_value(str(tiny_llama)).run()
    app.radio(key="new_preset").set_value("best").run()
    assert not app.error
    assert app.button(key="start_search").disabled
    app.text_input(key="new_calibration").set_value(str(tmp_path / "no.txt")).run()
    (error,) = app.error
    assert "no.txt" in error.value
    assert "\n" not in error.value
    assert app.button(key="start_search").disabled
    text = tmp_path / "text.txt"
    text.write_text("Some words.")
    app.text_input(key="new_calibration").set_value(str(text)).run()
    app.button(key="start_search").click().run()
    (run,) = started
    assert run.config.model == str(tiny_llama)
    assert set(run.config.methods) == set(PRESETS["best"].methods)
    assert run.config.calibration == str(text)


def test_published_search_of_another_model_needs_no_text(
    form: AppTest, started: list[Run], tiny_llama: Path
) -> None:
    app = form
    app.button_group(key="new_model").set_value("Local folder").run()
    app.text_input(key="new_folder").set_value(str(tiny_llama)).run()
    app.button(key="start_search").click().run()
    assert [run.config.calibration for run in started] == [None]
    assert set(started[0].config.methods) == set(PRESETS["paper"].methods)


def test_run_at_work_shows_its_progress_and_what_is_there(
    make_run: MakeRun, open_app: OpenApp
) -> None:
    run = make_run(state="running")
    (run.folder / "events.jsonl").write_text(
        '{"event": "progress", "method": "optimal", "stage": "Optimal: stage 1", "layer": 0,'
        ' "step": 1, "hypervolume": 0.4}\n{"event": "prog'
    )
    # As the worker does: whoever holds the lock is alive.
    with FileLock(run.folder / ".worker.lock"):
        app = open_app(run=run.id)
    assert app.button(key="cancel_run")
    assert "40%" in app.get("progress")[0].text
    assert len(app.get("plotly_chart")) == 3
    assert app.metric


def test_queued_run_waits_for_its_worker(make_run: MakeRun, open_app: OpenApp) -> None:
    run = make_run(with_result=False)
    run.write_status(run.status().model_copy(update={"state": "running"}))
    with FileLock(run.folder / ".worker.lock"):
        app = open_app()
    assert not app.get("plotly_chart")
    assert app.button(key="cancel_run")
