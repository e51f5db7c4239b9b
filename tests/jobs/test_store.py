"""Making, finding, listing and deleting runs."""

import json
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from qcqa.errors import RunError
from qcqa.files.locks import hold
from qcqa.jobs.home import runs_folder
from qcqa.jobs.run import Run, open_run
from qcqa.jobs.status import RunStatus
from qcqa.jobs.store import DamagedRun, create_run, delete_run, find_run, list_runs
from qcqa.packaged import demo_run_folder
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.options import ExactOptions, TwoStageOptions


def _create(**changes: object) -> Run:
    arguments = {"model": "some/model", "methods": ("optimal",), "settings": SearchSettings()}
    return create_run(**{**arguments, **changes})  # type: ignore[arg-type]  # any argument


def _own_runs() -> list[Run | DamagedRun]:
    return [run for run in list_runs() if isinstance(run, DamagedRun) or not run.bundled]


def test_runs_live_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert runs_folder() == tmp_path / "home" / "runs"
    monkeypatch.setenv("QCQA_RUNS", str(tmp_path / "elsewhere"))
    assert runs_folder() == tmp_path / "elsewhere"
    assert _create().folder.parent == tmp_path / "elsewhere"


def test_a_run_opens_again_with_its_config(tmp_path: Path) -> None:
    settings = SearchSettings(two_stage=TwoStageOptions(population_size=24), seed=7)
    run = _create(settings=settings, name="a title", folder=tmp_path / "mine")
    again = open_run(tmp_path / "mine")
    assert again.config == run.config
    assert again.config.settings == settings
    assert again.config.name == "a title"


def test_settings_of_an_earlier_release_are_read(tmp_path: Path) -> None:
    settings = SearchSettings(
        two_stage=TwoStageOptions(generations=7), exact=ExactOptions(restarts=3), seed=2
    )
    run = create_run(model="m", methods=("optimal",), settings=settings, folder=tmp_path / "run")
    file = run.folder / "config.json"
    content = json.loads(file.read_text())
    written = content["settings"]
    flat = {**written.pop("two_stage"), **written.pop("exact"), **written}
    del flat["bits"]
    file.write_text(json.dumps({**content, "settings": flat}))
    assert open_run(run.folder).search.settings == settings
    file.write_text(json.dumps({**content, "settings": {**flat, "restarts": -1}}))
    with pytest.raises(RunError, match="restarts") as refusal:
        open_run(run.folder)
    assert "\n" not in refusal.value.one_line()


def test_the_included_run_is_of_an_earlier_release() -> None:
    folder = demo_run_folder()
    assert folder is not None
    assert "restarts" in json.loads((folder / "config.json").read_text())["settings"]
    assert open_run(folder).search.settings == SearchSettings(stage2_fitness="loss")


def test_a_local_model_is_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    assert _create(model="./model").config.model == str(tmp_path / "model")
    assert _create(model="org/model").config.model == "org/model"


def test_a_folder_that_holds_something_is_not_made_a_run(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(RunError, match="is not empty"):
        _create(folder=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_runs_are_listed_newest_first_and_damaged_ones_with_the_reason() -> None:
    first, second = _create(name="first"), _create(name="second")
    _set(first, created="2026-01-01T00:00:00+00:00")
    broken = _create(name="broken")
    (broken.folder / "config.json").write_text("{")
    listed = _own_runs()
    assert [run.folder for run in listed] == [second.folder, first.folder, broken.folder]
    assert isinstance(listed[2], DamagedRun)
    assert "is damaged" in listed[2].error.one_line()


def test_a_newer_format_is_refused_by_name() -> None:
    run = _create()
    _set(run, version=2)
    with pytest.raises(RunError, match="format version 2; expected version 1; open it with"):
        open_run(run.folder)


def test_a_run_is_found_by_id_beginning_and_folder() -> None:
    run = _create(name="findable")
    assert find_run(run.id).folder == run.folder
    assert find_run(run.id[:-2]).folder == run.folder
    assert find_run(str(run.folder)).folder == run.folder
    with pytest.raises(RunError, match="no run 'nothing'"):
        find_run("nothing")
    _create(name="other")
    with pytest.raises(RunError, match="begins the ids of 2 runs"):
        find_run("20")


def test_only_runs_at_rest_are_deleted() -> None:
    run = _create()
    with hold(run.lock), pytest.raises(RunError, match="at work; first: qcqa runs cancel"):
        delete_run(run)
    delete_run(run)
    assert not run.folder.exists()


def test_a_copied_run_is_a_run_and_its_worker_is_not_taken_for_alive(tmp_path: Path) -> None:
    run = _create()
    run.write_status(RunStatus(state="running", pid=1))
    shutil.copytree(run.folder, tmp_path / "copy")
    assert open_run(tmp_path / "copy").status().state == "dead"


def test_a_run_whose_lock_cannot_be_taken_is_no_traceback() -> None:
    run = _create()
    run.write_status(RunStatus(state="running", pid=1))
    (run.folder / ".worker.lock").mkdir()
    assert run.status().state == "dead"


def test_a_damaged_status_is_one_clear_error() -> None:
    run = _create()
    (run.folder / "status.json").write_text('{"state": "dancing"}')
    with pytest.raises(RunError, match=r"status\.json is damaged"):
        run.status()


def test_half_an_event_is_left_out() -> None:
    run = _create()
    event = {"time": "2026-01-01T00:00:00+00:00", "event": "started"}
    (run.folder / "events.jsonl").write_text(json.dumps(event) + '\n{"event": "pro')
    assert run.events() == [event]


def _set(run: Run, **changes: object) -> None:
    path = run.folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_runs_that_cannot_be_opened_are_deleted_too() -> None:
    broken, unreadable = _create(), _create()
    (broken.folder / "config.json").write_text("{")
    (unreadable.folder / "status.json").write_text("{")
    for run in _own_runs():
        delete_run(run)
    assert not list(runs_folder().iterdir())


def test_a_damaged_run_with_a_living_worker_is_not_deleted() -> None:
    run = _create()
    with FileLock(run.folder / ".worker.lock"):
        _set(run, version=2)
        [damaged] = _own_runs()
        with pytest.raises(RunError, match="still at work"):
            delete_run(damaged)
    delete_run(damaged)
    assert not run.folder.exists()


def test_of_a_linked_run_only_the_link_is_deleted(tmp_path: Path) -> None:
    run = _create(folder=tmp_path / "elsewhere")
    run.write_status(RunStatus(state="finished"))
    runs_folder().mkdir(parents=True)
    (runs_folder() / "linked").symlink_to(run.folder)
    delete_run(find_run("linked"))
    assert open_run(run.folder).config == run.config
    assert not list(runs_folder().iterdir())
