"""The page on which a search is started and followed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from streamlit.testing.v1 import AppTest

from qcqa.jobs.run import Run
from qcqa.jobs.status import State
from qcqa.jobs.store import list_runs
from qcqa.packaged import demo_model_folder
from qcqa.reduce.bits.options import BitsOptions
from qcqa.search.presets import PRESETS

OpenApp = Callable[..., AppTest]
MakeRun = Callable[..., Run]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """Return the runs for which a worker would have been started."""
    runs: list[Run] = []
    monkeypatch.setattr("ui.workers.start", runs.append)
    return runs


def _table(app: AppTest) -> dict[str, str]:
    """Return the facts of the preflight."""
    return dict(app.table[0].value.iloc[:, 0])


@pytest.fixture
def form(open_app: OpenApp) -> AppTest:
    """Return the page where there is no run yet: the form alone."""
    return open_app("search")


def test_search_of_the_demo_model_is_started(form: AppTest, started: list[Run]) -> None:
    app = form
    app.button_group(key="new_effort").set_value("Quick").run()
    app.button_group(key="new_methods").set_value(["qcqa-ec"]).run()
    app.number_input(key="new_seed").set_value(7)
    app.button(key="start_search").click().run()
    assert not app.exception
    (run,) = started
    assert run.config.model == "demo"
    assert run.config.methods == ("qcqa-ec",)
    assert run.config.settings.seed == 7
    assert run.config.settings.two_stage.generations == 30
    assert app.query_params["run"] == run.id


def test_folder_is_looked_at_before_anything_is_started(
    form: AppTest, started: list[Run], tiny_llama: Path
) -> None:
    app = form
    app.button_group(key="new_model").set_value("folder").run()
    assert app.button(key="start_search").disabled
    app.text_input(key="new_folder").set_value(str(tiny_llama / "nothing")).run()
    assert "there is no folder" in app.error[0].value
    assert app.button(key="start_search").disabled
    app.text_input(key="new_folder").set_value(str(tiny_llama)).run()
    assert not app.error
    assert _table(app)["Layers"] == "4"
    app.button(key="start_search").click().run()
    assert [run.config.model for run in started] == [str(tiny_llama)]


def test_folder_that_is_no_checkpoint_is_refused_in_one_line(
    form: AppTest, started: list[Run], tmp_path: Path
) -> None:
    app = form
    app.button_group(key="new_model").set_value("folder").run()
    app.text_input(key="new_folder").set_value(str(tmp_path)).run()
    (error,) = app.error
    assert "\n" not in error.value
    assert not started
    assert not list_runs()


def test_button_leads_to_the_form(make_run: MakeRun, open_app: OpenApp) -> None:
    run = make_run()
    app = open_app(run=run.id, budget="30")
    app.button(key="new_search").click().run()
    assert not app.exception
    assert app.button(key="start_search")
    # What was chosen on the other page stays chosen.
    assert (app.query_params["run"], app.query_params["budget"]) == (run.id, "30%")


def test_no_method_no_search(form: AppTest) -> None:
    app = form
    app.button_group(key="new_methods").set_value([]).run()
    assert not app.exception
    assert app.button(key="start_search").disabled


def test_every_preset_is_explained(form: AppTest) -> None:
    (radio,) = form.radio
    assert radio.value == "paper"
    assert radio.options == ["As published", "Best quality", "My own choice"]
    assert list(radio.proto.captions)[:-1] == [preset.description for preset in PRESETS.values()]


def test_best_search_of_the_demo_brings_its_own_text(form: AppTest, started: list[Run]) -> None:
    app = form
    app.radio(key="new_preset").set_value("best").run()
    assert not app.exception
    assert not app.text_input(key="new_name").value
    assert any("minutes" in text.value for text in app.markdown if "It takes" in text.value)
    app.button_group(key="new_methods").set_value(["qcqa-ac"]).run()
    app.button(key="start_search").click().run()
    (run,) = started
    bits = ("bits-8", "bits-4", "bits-2", "staircase", "bits", "heads-bits")
    assert run.config.methods == ("qcqa-ac", "best", *bits)
    assert run.config.calibration == "demo"


def test_how_bits_are_packed_is_asked_where_bits_may_be_reduced(
    form: AppTest, started: list[Run]
) -> None:
    app = form
    assert not [one for one in app.toggle if one.key == "new_bits_rotate"]
    app.radio(key="new_preset").set_value("best").run()
    app.button_group(key="new_bits_group").set_value(64).run()
    app.toggle(key="new_bits_rotate").set_value(True).run()
    assert (app.query_params["bits_group"], app.query_params["bits_rotate"]) == ("64", "True")
    app.button(key="start_search").click().run()
    # Where no bits may be reduced, it has no say.
    app.button_group(key="new_reduce").set_value(["groups"]).run()
    app.button(key="start_search").click().run()
    assert not app.exception
    assert [run.search.settings.bits for run in started] == [
        BitsOptions(group=64, rotate=True),
        BitsOptions(),
    ]


def test_best_search_of_another_model_asks_for_a_text(
    form: AppTest, started: list[Run], tmp_path: Path
) -> None:
    app = form
    model = str(demo_model_folder())
    app.button_group(key="new_model").set_value("folder").run()
    app.text_input(key="new_folder").set_value(model).run()
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
    (error,) = app.error
    assert "expected at least 256" in error.value
    assert app.button(key="start_search").disabled
    assert not list_runs()
    text.write_text("Marco likes eggs. " * 100)
    app.text_input(key="new_calibration").set_value(f'"{text}"').run()
    assert not app.error
    app.button(key="start_search").click().run()
    (run,) = started
    assert run.config.model == model
    assert set(run.config.methods) == set(PRESETS["best"].methods)
    assert run.config.calibration == str(text)


def test_published_search_of_another_model_needs_no_text(
    form: AppTest, started: list[Run], tiny_llama: Path
) -> None:
    app = form
    app.button_group(key="new_model").set_value("folder").run()
    app.text_input(key="new_folder").set_value(str(tiny_llama)).run()
    app.button(key="start_search").click().run()
    (run,) = started
    assert run.search.calibration is None
    assert set(run.search.methods) == {"optimal", "qcqa-ac-wse", "qcqa-ec-wse"}
    assert run.search.settings.stage2_fitness is None
    assert any("weights alone" in caption.value for caption in app.caption)


def test_published_search_measures_its_second_stage_where_a_text_is_at_hand(
    form: AppTest, started: list[Run]
) -> None:
    form.button(key="start_search").click().run()
    (run,) = started
    assert set(run.search.methods) == set(PRESETS["paper"].methods)
    assert run.search.calibration == "demo"
    assert run.search.settings.stage2_fitness == "loss"


def test_own_choice_is_what_is_searched(form: AppTest, started: list[Run]) -> None:
    app = form
    app.radio(key="new_preset").set_value("own").run()
    app.selectbox(key="new_fitness").set_value("output-error").run()
    # The output error is that of subspaces: so they are merged, unless another merge is chosen.
    assert app.selectbox(key="new_merge").value == "svd"
    app.toggle(key="new_apart").set_value(True)
    app.toggle(key="new_refit").set_value(True)
    app.text_input(key="new_name").set_value("Mine").run()
    app.button(key="start_search").click().run()
    assert not app.exception
    (run,) = started
    settings = run.search.settings
    assert (settings.fitness, settings.merge, settings.apart, settings.refit) == (
        "output-error",
        "svd",
        True,
        True,
    )
    assert run.config.name == "Mine"


def test_model_of_the_hub_that_is_out_of_reach_is_one_line(
    form: AppTest, started: list[Run]
) -> None:
    app = form
    app.button_group(key="new_model").set_value("hub").run()
    assert not app.error
    app.text_input(key="new_hub").set_value("some/model").run()
    (error,) = app.error
    assert "some/model on the Hub cannot be reached" in error.value
    assert "\n" not in error.value
    assert app.button(key="start_search").disabled
    assert not started


def test_family_that_is_not_known_is_refused_before_it_starts(
    form: AppTest, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "mamba"}')
    app = form
    app.button_group(key="new_model").set_value("folder").run()
    app.text_input(key="new_folder").set_value(str(tmp_path)).run()
    (error,) = app.error
    assert "mamba" in error.value
    assert app.button(key="start_search").disabled


def test_more_effort_takes_more_time(form: AppTest) -> None:
    told = []
    for effort in ("Quick", "Thorough"):
        form.button_group(key="new_effort").set_value(effort).run()
        told += [text.value for text in form.markdown if "It takes" in text.value]
    assert len(set(told)) == 2


def test_the_form_is_in_the_address_and_comes_back_from_it(
    form: AppTest, open_app: OpenApp, started: list[Run]
) -> None:
    model, text = str(demo_model_folder()), str(demo_model_folder() / "calibration.txt")
    assert not form.query_params
    form.button_group(key="new_model").set_value("folder").run()
    form.text_input(key="new_folder").set_value(model).run()
    form.radio(key="new_preset").set_value("own").run()
    form.selectbox(key="new_fitness").set_value("output-error").run()
    form.selectbox(key="new_merge").set_value("aligned").run()
    form.toggle(key="new_refit").set_value(True).run()
    form.button_group(key="new_effort").set_value("Quick").run()
    form.button_group(key="new_methods").set_value(["qcqa-ec"]).run()
    form.number_input(key="new_seed").set_value(7).run()
    form.text_input(key="new_name").set_value("Mine & yours").run()
    form.text_input(key="new_calibration").set_value(text).run()
    address = {name: form.query_params[name] for name in form.query_params}
    assert address == {
        "model": "folder",
        "folder": model,
        "preset": "own",
        "fitness": "output-error",
        "merge": "aligned",
        "refit": "True",
        "effort": "Quick",
        "methods": "qcqa-ec",
        "seed": "7",
        "name": "Mine & yours",
        "calibration": text,
    }
    again = open_app("search", **address)
    again.button(key="start_search").click().run()
    assert not again.exception
    (run,) = started
    assert (run.search.model, run.search.methods) == (model, ("qcqa-ec",))
    assert run.config.name == "Mine & yours"
    assert run.search.calibration == address["calibration"]
    settings = run.search.settings
    assert (settings.fitness, settings.merge, settings.refit) == ("output-error", "aligned", True)
    assert (settings.two_stage.generations, settings.seed) == (30, 7)


def test_another_effort_has_its_own_numbers_and_the_usual_ones_need_no_address(
    form: AppTest,
) -> None:
    form.number_input(key="new_generations").set_value(7).run()
    assert form.query_params["generations"] == "7"
    form.button_group(key="new_effort").set_value("Quick").run()
    assert form.number_input(key="new_generations").value == 30
    form.button_group(key="new_effort").set_value("Standard").run()
    form.number_input(key="new_generations").set_value(8).run()
    form.number_input(key="new_generations").set_value(100).run()
    assert not form.query_params


def test_nonsense_in_the_address_leaves_the_form_as_it_is_by_default(open_app: OpenApp) -> None:
    app = open_app("search", model="moon", effort="none", seed="-1", generations="0", merge="x")
    assert app.button_group(key="new_model").value == "demo"
    assert app.button_group(key="new_effort").value == "Standard"
    assert app.number_input(key="new_seed").value == 0
    assert app.number_input(key="new_generations").value == 100


def test_only_the_page_of_the_form_has_it_in_its_address(
    make_run: MakeRun, open_app: OpenApp
) -> None:
    run = make_run()
    app = open_app("search", run=run.id, effort="Quick")
    app.text_input(key="new_name").set_value("Mine").run()
    app.switch_page("views/explore/explore.py").run()
    assert not app.exception
    assert list(app.query_params) == ["run"]
    app.button(key="new_search").click().run()
    assert app.text_input(key="new_name").value == "Mine"
    assert (app.query_params["name"], app.query_params["effort"]) == ("Mine", "Quick")


EVENTS = [
    {"event": "started"},
    *({"stage": "reading K/V weights", "step": step, "total": 3} for step in (1, 2, 3)),
    {"stage": "lower bound", "step": 1, "total": 1},
    {"stage": "Optimal: stage 1", "method": "optimal", "layer": 0, "step": 1, "total": 3}
    | {"hypervolume": 0.4},
]


def _write_events(run: Run) -> None:
    rows = [
        json.dumps({"time": f"2026-01-01T00:00:{second:02}+00:00", "event": "progress"} | event)
        for second, event in enumerate(EVENTS)
    ]
    # The last line is being written.
    (run.folder / "events.jsonl").write_text("\n".join([*rows, '{"event": "prog']))


def test_search_at_work_shows_stages_layers_and_hypervolume(
    make_run: MakeRun, open_app: OpenApp
) -> None:
    run = make_run(state="running")
    _write_events(run)
    # As the worker does: whoever holds the lock is alive.
    with FileLock(run.folder / ".worker.lock"):
        app = open_app("search", run=run.id)
    assert app.button(key="cancel_run")
    assert "40 %" in app.get("progress")[0].text
    (stages,) = [text.value for text in app.markdown if "Lower bound" in text.value]
    assert "Optimal: stage 1 · 1 of 3" in stages
    assert [chart.key for chart in app.get("plotly_chart")] == ["layers_chart", "progress_chart"]
    assert any("KV ratio 1, relative WSE 1" in caption.value for caption in app.caption)
    assert app.button(key="start_search")


def test_other_searches_at_work_are_linked(make_run: MakeRun, open_app: OpenApp) -> None:
    shown, other = make_run(name="Shown"), make_run(name="Other", state="running")
    with FileLock(other.folder / ".worker.lock"):
        app = open_app("search", run=shown.id, budget="30")
    (link,) = [one for one in app.get("page_link") if "Other" in one.proto.label]
    assert link.proto.label == "Other · search, 40 %"
    assert f"run={other.id}" in link.proto.query_string
    assert "budget=30%25" in link.proto.query_string


@pytest.mark.parametrize("state", ["cancelled", "failed", "running"])
def test_stopped_search_can_be_resumed_here(
    make_run: MakeRun, open_app: OpenApp, state: State
) -> None:
    run = make_run(state=state, with_result=False)
    _write_events(run)
    app = open_app("search", run=run.id)
    assert app.button(key="resume_run")
    assert app.button(key="start_search")


def test_finished_search_leads_to_its_fronts(make_run: MakeRun, open_app: OpenApp) -> None:
    run = make_run()
    _write_events(run)
    app = open_app("search", run=run.id)
    assert any("Finished" in text.value for text in app.markdown)
    assert [link.proto.label for link in app.get("page_link")] == ["Explore its fronts"]


@pytest.mark.parametrize(("num_layers", "num_heads"), [(1, 8), (80, 64)])
def test_any_size_of_search_is_followed(
    make_run: MakeRun, open_app: OpenApp, num_layers: int, num_heads: int
) -> None:
    run = make_run(num_layers=num_layers, num_heads=num_heads, state="running", name="x" * 300)
    with FileLock(run.folder / ".worker.lock"):
        app = open_app("search", run=run.id)
    assert not app.error


def test_damaged_run_is_one_line_above_the_form(make_run: MakeRun, open_app: OpenApp) -> None:
    run = make_run()
    (run.folder / "config.json").write_text("{")
    app = open_app("search", run=run.folder.name)
    (error,) = app.error
    assert "config.json" in error.value
    assert app.button(key="start_search")


def test_explore_keeps_a_slim_row_of_a_search_at_work(make_run: MakeRun, open_app: OpenApp) -> None:
    run = make_run(state="running")
    with FileLock(run.folder / ".worker.lock"):
        app = open_app(run=run.id)
    assert app.button(key="cancel_run")
    assert "40 %" in app.get("progress")[0].text
    assert "progress_chart" not in [chart.key for chart in app.get("plotly_chart")]
    assert app.metric


def test_queued_run_waits_for_its_worker(make_run: MakeRun, open_app: OpenApp) -> None:
    run = make_run(with_result=False)
    run.write_status(run.status().model_copy(update={"state": "running"}))
    with FileLock(run.folder / ".worker.lock"):
        app = open_app()
    assert not app.get("plotly_chart")
    assert app.button(key="cancel_run")


def test_setting_goes_back_to_what_it_was_before_the_effort(
    make_run: MakeRun, open_app: OpenApp
) -> None:
    make_run()
    app = open_app("search")
    app.button_group(key="new_effort").set_value("Quick").run()
    population = app.number_input(key="new_population_size")
    assert population.value == 40
    population.set_value(100).run()
    assert not app.exception
    assert app.number_input(key="new_population_size").value == 100
    assert app.query_params["population_size"] == "100"
