"""What cannot succeed is said at its field, and has no button that starts or resumes it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from qcqa.jobs.evaluations import create_evaluation
from qcqa.jobs.home import runs_folder
from qcqa.jobs.jobs import jobs_of
from qcqa.jobs.run import Run, open_run
from qcqa.jobs.status import RunStatus
from qcqa.jobs.store import list_runs
from qcqa.measure.benchmark import Benchmark
from qcqa.packaged import demo_model_folder
from qcqa.pick.points import points_at

OpenApp = Callable[..., AppTest]
MakeRun = Callable[..., Run]


def _error(app: AppTest) -> str:
    assert not app.exception
    (error,) = app.error
    assert "\n" not in error.value
    return str(error.value)


def _captions(app: AppTest) -> str:
    return " ".join(one.value for one in app.caption)


def _change(run: Run, **changes: object) -> None:
    path = run.folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_model_that_cannot_be_read_is_not_searched(open_app: OpenApp, unreadable: str) -> None:
    app = open_app("search")
    app.button_group(key="new_model").set_value("folder").run()
    app.text_input(key="new_folder").set_value(unreadable).run()
    if unreadable.strip():
        assert _error(app)
    assert app.button(key="start_search").disabled
    # As an id on the Hub it is no better.
    app.button_group(key="new_model").set_value("hub").run()
    app.text_input(key="new_hub").set_value(unreadable).run()
    assert not app.exception
    assert app.button(key="start_search").disabled
    assert not list_runs()


def test_a_calibration_that_cannot_be_read_is_not_searched(
    open_app: OpenApp, unreadable: str
) -> None:
    app = open_app("search")
    app.button_group(key="new_model").set_value("folder").run()
    app.text_input(key="new_folder").set_value(str(demo_model_folder())).run()
    app.radio(key="new_preset").set_value("best").run()
    app.text_input(key="new_calibration").set_value(unreadable).run()
    if unreadable.strip():
        assert _error(app)
    assert app.button(key="start_search").disabled
    assert not list_runs()


def test_a_text_that_cannot_be_read_is_not_measured(
    make_run: MakeRun, open_app: OpenApp, unreadable: str
) -> None:
    run = make_run()
    app = open_app("evaluate")
    app.button_group(key="measure_text").set_value("Text file").run()
    app.text_input(key="measure_file").set_value(unreadable).run()
    if unreadable.strip():
        assert _error(app)
    assert "start_evaluation" not in {button.key for button in app.button}
    assert jobs_of(run) == []


def test_a_folder_that_cannot_be_written_gets_no_checkpoint(demo: Run, open_app: OpenApp) -> None:
    app = open_app("export", budget="50", method="optimal")
    for typed in ("/tmp/" + "x" * 300, str(demo.folder / "config.json" / "below"), "a\0b"):
        app.text_input[0].set_value(typed).run()
        assert _error(app)
        assert app.button(key="start_conversion").disabled
    assert jobs_of(demo) == []


def test_a_run_that_cannot_be_read_is_not_loaded(open_app: OpenApp, unreadable: str) -> None:
    app = open_app("runs")
    app.button(key="open_load").click().run()
    app.text_input(key="load_path").set_value(unreadable).run()
    if not unreadable.strip():
        assert app.button(key="load_run").disabled
        return
    app.button(key="load_run").click().run()
    assert _error(app)
    assert not list(runs_folder().glob("*"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"a\0b", "null bytes"),
        (b"\xff\xfe", "UTF-8"),
        (b"a zebra", "the token 'zebra' of text has the id"),
    ],
)
def test_a_text_of_which_nothing_can_be_measured_is_said_at_the_field(
    make_run: MakeRun,
    open_app: OpenApp,
    outgrown: Path,
    tmp_path: Path,
    content: bytes,
    says: str,
) -> None:
    run = make_run()
    _change(run, model=str(outgrown))
    text = tmp_path / "text.txt"
    text.write_bytes(content)
    app = open_app("evaluate")
    app.text_input(key="measure_file").set_value(str(text)).run()
    assert says in _error(app)
    assert "start_evaluation" not in {button.key for button in app.button}
    # What has changed is looked at anew.
    text.write_text("Marco likes eggs. " * 50)
    app.run()
    assert not app.error
    assert not app.button(key="start_evaluation").disabled
    assert jobs_of(run) == []


@pytest.mark.parametrize(("prompt", "says"), [("eggs " * 600, "601 tokens"), ("zebra", "'zebra'")])
def test_a_prompt_that_cannot_be_read_is_said_at_the_field(
    make_run: MakeRun, open_app: OpenApp, outgrown: Path, prompt: str, says: str
) -> None:
    run = make_run()
    _change(run, model=str(outgrown))
    app = open_app("evaluate", section="texts")
    assert not app.button(key="start_generation").disabled
    app.text_area(key="generate_prompt").set_value(prompt).run()
    assert says in _error(app)
    assert app.button(key="start_generation").disabled
    assert jobs_of(run) == []


@pytest.mark.parametrize("section", ["quality", "speed", "texts"])
def test_a_model_that_is_gone_runs_nowhere(
    make_run: MakeRun, open_app: OpenApp, tmp_path: Path, section: str
) -> None:
    _change(make_run(), model=str(tmp_path / "gone"))
    app = open_app("evaluate", section=section)
    if section == "quality":
        (tmp_path / "text.txt").write_text("Marco likes eggs. " * 50)
        app.text_input(key="measure_file").set_value(str(tmp_path / "text.txt")).run()
    assert "there is no folder" in _error(app)
    buttons = {button.key: button for button in app.button}
    for key in ("start_evaluation", "start_generation"):
        assert key not in buttons or buttons[key].disabled


@pytest.mark.parametrize("page", ["explore", "search", "runs"])
def test_a_search_that_can_only_fail_has_no_resume(
    make_run: MakeRun, open_app: OpenApp, tmp_path: Path, page: str
) -> None:
    run = make_run(state="cancelled", with_result=False)
    app = open_app(page, run=run.id)
    assert app.button(key="resume_run")
    _change(run, model=str(tmp_path / "gone"))
    app = open_app(page, run=run.id)
    assert "resume_run" not in {button.key for button in app.button}
    assert "It cannot go on: there is no folder" in _captions(app)
    _change(run, model="demo", methods=["best"], calibration=str(tmp_path / "gone.txt"))
    app = open_app(page, run=run.id)
    assert "resume_run" not in {button.key for button in app.button}
    assert "It cannot go on: " in _captions(app)
    assert "no file of that name" in _captions(app)


def test_jobs_that_can_only_fail_have_no_resume(
    make_run: MakeRun, open_app: OpenApp, tmp_path: Path
) -> None:
    run, text = make_run(), tmp_path / "text.txt"
    text.write_text("Marco likes eggs. " * 50)
    points = points_at(run.result(), run.result().spec.kv_bits // 2)
    job = create_evaluation(run, points=points, benchmark=Benchmark(text=str(text)))
    job.write_status(RunStatus(state="failed", error="no room"))
    app = open_app("runs", run=run.id)
    assert app.button(key=f"resume_evaluation_{job.id}")
    text.unlink()
    for page in ("runs", "evaluate"):
        app = open_app(page, run=run.id)
        assert not {f"resume_{job.id}", "resume_run"} & {button.key for button in app.button}
        assert "It cannot go on: " in _captions(app)
        assert "there is no file of that name" in _captions(app)


@pytest.fixture
def demo(searched_demo: Path, tmp_path: Path) -> Run:
    """Return a search of a model that is really there."""
    folder = tmp_path / "home" / "runs" / "20260101-000000-demo-0000"
    shutil.copytree(searched_demo, folder)
    return open_run(folder)
