"""The page of all runs: what it lists, and what can be done with a run."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from streamlit.testing.v1 import AppTest

from qcqa.errors import RunError
from qcqa.jobs.archive import pack_run
from qcqa.jobs.generations import create_generation
from qcqa.jobs.home import runs_folder
from qcqa.jobs.run import Run, open_run
from qcqa.jobs.status import RunStatus, State
from qcqa.jobs.store import annotate_run, create_run, list_runs, rename_run
from qcqa.measure.generated import GenerationSettings
from qcqa.packaged import demo_run_folder
from qcqa.search.strategy.config import SearchSettings

OpenApp = Callable[..., AppTest]
MakeRun = Callable[..., Run]


def _table(app: AppTest) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = app.dataframe[0].value.to_dict("records")
    return rows


def _row(app: AppTest, name: str) -> dict[str, object]:
    [row] = [row for row in _table(app) if row["run"] == name]
    return row


def _buttons(app: AppTest) -> set[str | None]:
    return {button.key for button in app.button}


def _text(app: AppTest) -> str:
    return " ".join(one.value for one in (*app.markdown, *app.caption, *app.text))


def _select(app: AppTest, *runs: Run) -> AppTest:
    """Select rows as a click on them does; AppTest itself cannot click into a table."""
    run = app.query_params.get("run")
    app.session_state["runs_selected"] = (run, [one.folder.name for one in runs])
    app.run()
    assert not app.exception
    return app


def test_no_run_at_all_says_what_to_do(open_app: OpenApp) -> None:
    app = open_app("runs")
    assert [heading.value for heading in app.subheader] == ["No runs yet"]
    assert {"open_load", "new_search"} <= _buttons(app)
    app.button(key="new_search").click().run()
    assert app.button(key="start_search")


def test_every_run_has_a_row(
    make_run: MakeRun, open_app: OpenApp, measure: Callable[..., None]
) -> None:
    measured, bare = make_run(name="Measured"), make_run(name="Bare", with_result=False)
    measure(measured)
    rename_run(annotate_run(bare, "second try"), "Renamed")
    make_run(name="Failed", state="failed", error="disk full", with_result=False)
    app = open_app("runs")
    assert {row["run"] for row in _table(app)} == {"Measured", "Renamed", "Failed"}
    row = _row(app, "Measured")
    assert (row["state"], row["model"], row["methods"]) == ("finished", "demo", "Optimal")
    assert str(row["best at 50 % KV"]).startswith("Optimal: next-token accuracy ")
    assert row["measured"] == 5
    assert _row(app, "Renamed")["note"] == "second try"
    assert _row(app, "Failed")["best at 50 % KV"] == "disk full"


def test_jobs_of_two_kinds_may_have_one_name(
    make_run: MakeRun, open_app: OpenApp, evaluate: Callable[..., Run]
) -> None:
    run = make_run()
    evaluation = evaluate(run, "failed")
    generation = create_generation(run, points=(), settings=GenerationSettings("x"))
    generation.write_status(RunStatus(state="failed"))
    twin = generation.folder.rename(generation.folder.with_name(evaluation.folder.name))
    app = open_app("runs", run=run.id)
    app.button(key=f"delete_generation_{evaluation.id}").click().run()
    app.button(key="confirm_delete").click().run()
    assert not app.exception
    assert not twin.exists()
    assert evaluation.folder.exists()


@pytest.mark.parametrize("page", ["explore", "search", "runs"])
def test_a_search_that_no_worker_has_can_be_taken_up_on_every_page(
    page: str, make_run: MakeRun, open_app: OpenApp
) -> None:
    run = make_run(state="queued", with_result=False)
    app = open_app(page, run=run.id)
    assert "No worker process has taken it up." in [one.value for one in app.warning]
    assert app.button(key="resume_run")
    assert "cancel_run" not in _buttons(app)


@pytest.mark.parametrize("file", ["config.json", "status.json", "fronts/gqa.plans.parquet"])
def test_the_whole_line_of_every_problem_can_be_read(
    make_run: MakeRun, open_app: OpenApp, file: str
) -> None:
    make_run(name="Whole")
    assert not open_app("runs").expander
    (make_run(name="Damaged").folder / file).write_text("{")
    reason = "/models/" + "long_name/" * 20 + "model.safetensors is *shorter* than its header says"
    make_run(name="Failed", state="failed", error=reason, with_result=False)
    app = open_app("runs")
    [problems] = app.expander
    assert problems.label == "Problems of 2 runs"
    failed, damaged = (one.value for one in problems.caption)
    assert re.sub(r"\\(.)", r"\1", failed) == reason
    assert file in re.sub(r"\\(.)", r"\1", damaged)


def test_the_run_of_the_address_is_selected_and_is_that_of_all_pages(
    make_run: MakeRun, open_app: OpenApp
) -> None:
    first, second = make_run(name="First"), make_run(name="Second")
    for run in (first, second):
        app = open_app("runs", run=run.id)
        [row] = app.session_state["runs_table"]["selection"]["rows"]
        assert _table(app)[row]["run"] == run.name
        assert run.name in [one.value for one in app.subheader]
        app.button(key="open_run").click().run()
        assert not app.exception
        assert app.selectbox(key="run_list").value == run.id


def test_a_run_that_comes_does_not_move_the_selection(make_run: MakeRun, open_app: OpenApp) -> None:
    first = make_run(name="First")
    app = open_app("runs", run=first.id)
    make_run(name="Second")
    app.run()
    [row] = app.session_state["runs_table"]["selection"]["rows"]
    assert _table(app)[row]["run"] == "First"


def test_a_run_is_named_and_noted(make_run: MakeRun, open_app: OpenApp) -> None:
    run = make_run()
    app = open_app("runs", run=run.id)
    app.button(key="open_label").click().run()
    app.text_input(key=f"label_name_{run.id}").set_value("  Mine <b>**:red[x]** ")
    app.text_area(key=f"label_note_{run.id}").set_value("Line one.\nLine two.")
    app.button(key="save_label").click().run()
    assert not app.exception
    again = open_run(run.folder)
    assert (again.name, again.note) == ("Mine <b>**:red[x]**", "Line one.\nLine two.")
    assert _table(app)[0]["run"] == again.name
    assert [one.value for one in app.text] == [again.note]
    assert "save_label" not in _buttons(app)


def test_an_empty_name_is_refused_in_place(make_run: MakeRun, open_app: OpenApp) -> None:
    run = make_run()
    app = open_app("runs", run=run.id)
    app.button(key="open_label").click().run()
    app.text_input(key=f"label_name_{run.id}").set_value(" ")
    app.button(key="save_label").click().run()
    [error] = app.error
    assert "the name is empty" in error.value
    assert open_run(run.folder).name == run.name


def test_a_run_is_deleted_only_when_asked_twice(make_run: MakeRun, open_app: OpenApp) -> None:
    run, other = make_run(name="Gone"), make_run(name="Stays")
    app = open_app("runs", run=run.id)
    app.button(key="open_delete").click().run()
    assert run.folder.exists()
    assert "**Gone**" in _text(app)
    app.button(key="confirm_delete").click().run()
    assert not app.exception
    assert not app.error
    assert [path.name for path in runs_folder().iterdir()] == [other.id]
    assert [row["run"] for row in _table(app)] == ["Stays"]
    assert "run" not in app.query_params
    # Another window may still have it in its address.
    for page in (None, "evaluate", "runs"):
        late = open_app(page, run=run.id)
        assert [warning.value for warning in late.warning if "not here" in warning.value]


def test_the_last_run_leaves_an_empty_page(make_run: MakeRun, open_app: OpenApp) -> None:
    run = make_run()
    app = open_app("runs", run=run.id)
    app.button(key="open_delete").click().run()
    app.button(key="confirm_delete").click().run()
    assert not app.exception
    assert [heading.value for heading in app.subheader] == ["No runs yet"]


def test_a_run_at_work_is_followed_and_not_deleted(make_run: MakeRun, open_app: OpenApp) -> None:
    run = make_run(name="Busy", state="running")
    with FileLock(run.folder / ".worker.lock"):
        app = open_app("runs", run=run.id)
        assert _table(app)[0]["state"] == "running"
        assert f"cancel_search_{run.id}" in _buttons(app)
        app.button(key="open_delete").click().run()
        app.button(key="confirm_delete").click().run()
        assert "is still at work; first: qcqa runs cancel" in app.error[0].value
        assert run.folder.exists()


@pytest.mark.parametrize("state", ["failed", "cancelled", "running"])
def test_a_stopped_run_can_be_resumed(
    make_run: MakeRun, open_app: OpenApp, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(state=state)
    started: list[str] = []
    monkeypatch.setattr("ui.workers.start_again", lambda again: started.append(again.id))
    app = open_app("runs", run=run.id)
    app.button(key="resume_run").click().run()
    assert not app.exception
    assert started == [run.id]


def test_evaluations_stand_below_their_search(
    make_run: MakeRun,
    open_app: OpenApp,
    evaluate: Callable[..., Run],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = make_run()
    finished = evaluate(run, "finished")
    failed = rename_run(evaluate(run, "failed", error="no room"), "Second")
    at_work = evaluate(run, "running")
    started: list[str] = []
    monkeypatch.setattr("ui.workers.start_again", lambda again: started.append(again.id))
    with FileLock(at_work.folder / ".worker.lock"):
        app = open_app("runs", run=run.id)
        assert _table(app)[0]["state"] == "finished, evaluation 25 %"
        assert f"cancel_evaluation_{at_work.id}" in _buttons(app)
        assert f"delete_evaluation_{at_work.id}" not in _buttons(app)
        assert "**Second** · failed" in _text(app)
        assert "no room" in _text(app)
        app.button(key=f"resume_evaluation_{failed.id}").click().run()
        assert started == [failed.id]
        app.button(key=f"delete_evaluation_{finished.id}").click().run()
        app.button(key="confirm_delete").click().run()
    assert not app.exception
    assert not finished.folder.exists()
    assert run.folder.exists()


@pytest.mark.parametrize("file", ["config.json", "status.json", "fronts/gqa.plans.parquet"])
def test_a_damaged_run_says_why_and_can_be_deleted(
    make_run: MakeRun, open_app: OpenApp, file: str
) -> None:
    run, whole = make_run(name="Broken"), make_run(name="Whole")
    (run.folder / file).write_bytes(b"{")
    app = open_app("runs", run=run.id)
    [row] = [row for row in _table(app) if row["run"] != "Whole"]
    assert row["state"] == "damaged"
    assert Path(file).name in str(row["best at 50 % KV"])
    assert any(Path(file).name in error.value for error in app.error)
    assert all("\n" not in error.value for error in app.error)
    app.button(key="open_delete").click().run()
    app.button(key="confirm_delete").click().run()
    assert not app.exception
    assert [path.name for path in runs_folder().iterdir()] == [whole.id]


def test_a_damaged_evaluation_can_be_deleted(
    make_run: MakeRun, open_app: OpenApp, evaluate: Callable[..., Run]
) -> None:
    run = make_run()
    evaluation = evaluate(run, "finished")
    (evaluation.folder / "status.json").write_text("{")
    app = open_app("runs", run=run.id)
    assert "· damaged ·" in _text(app)
    app.button(key=f"delete_evaluation_{evaluation.id}").click().run()
    app.button(key="confirm_delete").click().run()
    assert not app.exception
    assert not evaluation.folder.exists()


def test_what_differs_between_runs_is_shown(make_run: MakeRun, open_app: OpenApp) -> None:
    first, second = make_run(name="Same"), make_run(name="Same")
    config = first.folder / "config.json"
    changed = json.loads(config.read_text())
    changed["settings"]["seed"] = 7
    config.write_text(json.dumps(changed))
    app = _select(open_app("runs"), first, second)
    compared = app.dataframe[1].value.set_index("setting")
    assert list(compared.index) == ["seed"]
    assert sorted(compared.loc["seed"]) == ["0", "7"]
    assert len(set(compared.columns)) == 2


def test_runs_that_were_asked_the_same_say_so(make_run: MakeRun, open_app: OpenApp) -> None:
    app = _select(open_app("runs"), make_run(), make_run())
    assert "Nothing differs" in _text(app)
    assert len(app.dataframe) == 1


def test_several_runs_are_deleted_together(make_run: MakeRun, open_app: OpenApp) -> None:
    first, second, other = make_run(name="A"), make_run(name="B"), make_run(name="C")
    (second.folder / "config.json").write_text("{")
    app = _select(open_app("runs"), first, second)
    assert "damaged run has no settings" in _text(app)
    app.button(key="open_delete").click().run()
    app.button(key="confirm_delete").click().run()
    assert not app.exception
    assert [path.name for path in runs_folder().iterdir()] == [other.id]


def test_no_selection_is_no_panel(make_run: MakeRun, open_app: OpenApp) -> None:
    make_run()
    app = _select(open_app("runs"))
    assert "open_delete" not in _buttons(app)
    assert len(app.dataframe) == 1


@pytest.mark.parametrize("zipped", [True, False])
def test_a_run_is_loaded_from_a_path(
    make_run: MakeRun, open_app: OpenApp, tmp_path: Path, zipped: bool
) -> None:
    run = make_run(name="From a colleague")
    if zipped:
        source = tmp_path / "shared.zip"
        pack_run(run, source)
    else:
        source = tmp_path / run.id
        shutil.copytree(run.folder, source)
    shutil.rmtree(run.folder)
    app = open_app("runs")
    app.button(key="open_load").click().run()
    assert app.button(key="load_run").disabled
    assert "Larger than 200 MB? Give its path below." in _text(app)
    app.text_input(key="load_path").set_value(f" {source} ").run()
    app.button(key="load_run").click().run()
    assert not app.exception
    assert not app.error
    assert [row["run"] for row in _table(app)] == ["From a colleague"]
    assert app.query_params["run"] == run.id
    assert "load_run" not in _buttons(app)


def test_what_is_no_run_is_refused_in_place(open_app: OpenApp, tmp_path: Path) -> None:
    (tmp_path / "notes.zip").write_text("no zip")
    app = open_app("runs")
    app.button(key="open_load").click().run()
    app.text_input(key="load_path").set_value(str(tmp_path / "notes.zip")).run()
    app.button(key="load_run").click().run()
    [error] = app.error
    assert "no zip file that can be read" in error.value
    assert not list(runs_folder().glob("*"))


def test_the_included_run_stays_as_it_came(
    open_app: OpenApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qcqa.jobs.store.demo_run_folder", demo_run_folder)
    app = open_app("runs")
    assert [row["run"] for row in _table(app)] == ["Demo model · included"]
    assert app.button(key="open_label").disabled
    assert app.button(key="open_delete").disabled
    # Recommended by prediction: of short texts hardly anything is cached in fewer bits yet.
    best = str(_table(app)[0]["best at 50 % KV"])
    assert best.startswith("Heads \N{MULTIPLICATION SIGN} bits: summed rise of the loss")


@pytest.mark.parametrize(("num_layers", "num_heads"), [(1, 8), (1, 1), (80, 64)])
def test_any_size_of_model_has_a_row(
    make_run: MakeRun, open_app: OpenApp, num_layers: int, num_heads: int
) -> None:
    make_run(num_layers=num_layers, num_heads=num_heads)
    app = open_app("runs")
    assert not app.error
    # One head cannot be halved.
    assert isinstance(_table(app)[0]["best at 50 % KV"], str) == (num_heads > 1)


def test_long_names_and_markup_are_only_names(make_run: MakeRun, open_app: OpenApp) -> None:
    name = "x" * 300 + " <b>**:red[$\\alpha$]** ../.. \u202e"
    run = make_run(name=name)
    app = open_app("runs", run=run.id)
    assert _table(app)[0]["run"] == name
    [title] = [one.value for one in app.subheader]
    assert "\\*\\*" in title
    assert "\\<b" in title


def test_a_refusal_is_told_once(
    make_run: MakeRun, open_app: OpenApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_run: Run) -> None:
        raise RunError("the run is busy")

    make_run(state="cancelled")
    monkeypatch.setattr("ui.workers.start_again", refuse)
    app = open_app("runs")
    app.button(key="resume_run").click().run()
    assert [error.value for error in app.error] == ["the run is busy"]
    assert not app.run().error


def test_results_of_many_runs_are_read_bit_by_bit(
    make_run: MakeRun, open_app: OpenApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("A", "B", "C"):
        make_run(name=name)
    app = open_app("runs")
    assert all(isinstance(row["best at 50 % KV"], str) for row in _table(app))
    for run in list_runs():
        for file in (run.folder / "fronts").iterdir():
            file.touch()
    monkeypatch.setattr("views.runs.runs_list._SECONDS_OF_READING", -1.0)
    app.run()
    # The panel has read the selected one.
    assert sum(isinstance(row["best at 50 % KV"], str) for row in _table(app)) <= 1
    monkeypatch.undo()


def test_many_runs_are_listed(open_app: OpenApp) -> None:
    for number in range(60):
        create_run(
            model="org/m", name=f"Run {number}", methods=("optimal",), settings=SearchSettings()
        )
    app = open_app("runs")
    assert len(_table(app)) == len(list_runs()) == 60
