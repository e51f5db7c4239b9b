"""A dashboard whose forms name paths in one folder alone."""

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from qcqa.jobs.config import SearchConfig
from qcqa.jobs.home import ROOT_VARIABLE
from qcqa.jobs.new import write_new_run
from qcqa.jobs.run import Run
from qcqa.jobs.status import RunStatus
from qcqa.jobs.store import create_run
from qcqa.search.strategy.config import SearchSettings

OpenApp = Callable[..., AppTest]
MakeRun = Callable[..., Run]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the only folder that forms may name paths in."""
    folder = tmp_path / "root"
    folder.mkdir()
    monkeypatch.setenv(ROOT_VARIABLE, str(folder.resolve()))
    return folder


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Return a text outside of it."""
    file = tmp_path / "secret.txt"
    file.write_text("a secret")
    return file


def _errors(app: AppTest) -> str:
    return " ".join(error.value for error in app.error).replace("\\", "")


def _refused(app: AppTest, path: Path, root: Path) -> None:
    assert f"{path} is outside {root}; expected a path within it (--root)" in _errors(app)


def test_a_model_outside_is_refused_and_one_within_is_looked_at(
    open_app: OpenApp, root: Path, outside: Path, tiny_llama: Path
) -> None:
    _refused(open_app("search", model="folder", folder=str(outside.parent)), outside.parent, root)
    link = root / "link"
    link.symlink_to(tiny_llama)
    _refused(open_app("search", model="folder", folder=str(link)), link, root)
    climbing = root / ".." / "secret.txt"
    _refused(open_app("search", model="folder", folder=str(climbing)), climbing, root)
    # The id of a model may be the path of a folder.
    for path in ("../..", "../../nothing/here"):
        assert "is outside" in _errors(open_app("search", model="hub", hub=path))
    assert "is outside" not in _errors(open_app("search", model="hub", hub="org/name"))
    own = root / "model"
    own.mkdir()
    assert "is outside" not in _errors(open_app("search", model="folder", folder=str(own)))
    assert not open_app("search").error


def test_texts_and_folders_outside_are_refused(
    make_run: MakeRun, open_app: OpenApp, root: Path, outside: Path
) -> None:
    make_run()
    app = open_app("evaluate")
    app.button_group(key="measure_text").set_value("Text file").run()
    app.text_input(key="measure_file").set_value(str(outside)).run()
    _refused(app, outside, root)
    # Whether there is anything is not told either.
    nothing = outside.with_name("nothing.txt")
    app.text_input(key="measure_file").set_value(str(nothing)).run()
    _refused(app, nothing, root)

    app = open_app("export")
    (field,) = [one for one in app.text_input if one.label == "Folder to write"]
    # The dashboard's own folders will do.
    assert "is outside" not in _errors(app)
    field.set_value(str(outside.parent / "out")).run()
    _refused(app, outside.parent / "out", root)
    assert app.button(key="start_conversion").disabled

    app = open_app("runs")
    app.button(key="open_load").click().run()
    app.text_input(key="load_path").set_value(str(outside)).run()
    app.button(key="load_run").click().run()
    _refused(app, outside, root)


def test_a_run_that_names_other_paths_is_not_gone_on_with(
    open_app: OpenApp, root: Path, outside: Path
) -> None:
    run = create_run(model="demo", methods=("optimal",), settings=SearchSettings())
    config = run.search.model_copy(update={"calibration": str(outside)})
    assert isinstance(config, SearchConfig)
    other = write_new_run(run.folder.with_name("20260101-000000-from-afar"), config)
    other.write_status(RunStatus(state="cancelled"))
    app = open_app(run=other.id)
    said = " ".join(one.value for one in app.caption).replace("\\", "")
    assert f"It cannot go on: {outside} is outside {root}" in said
    assert not [one for one in app.button if one.key == "resume_run"]


def test_without_a_root_every_path_will_do(open_app: OpenApp, outside: Path) -> None:
    app = open_app("search", model="folder", folder=str(outside.parent))
    assert "is outside" not in _errors(app)
