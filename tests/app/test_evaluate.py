"""The page that measures plans: what it starts, what it follows and what it shows."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from streamlit.testing.v1 import AppTest

from qcqa.charts.quality.series import metrics_of
from qcqa.jobs.evaluations import evaluations_of
from qcqa.jobs.run import Run
from qcqa.jobs.status import State
from qcqa.measure.benchmark import Benchmark, DecodeLoad
from qcqa.plan.plan import Measurement

OpenApp = Callable[..., AppTest]
MakeRun = Callable[..., Run]
Measure = Callable[..., None]
Evaluate = Callable[..., Run]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """Return the evaluations for which a worker would have been started."""
    runs: list[Run] = []
    monkeypatch.setattr("ui.workers.start", runs.append)
    return runs


def _alerts(app: AppTest) -> str:
    return " ".join(alert.value for alert in (*app.error, *app.warning, *app.info))


def _text(app: AppTest) -> str:
    return " ".join(element.value for element in (*app.markdown, *app.caption))


def _chart(app: AppTest, place: int) -> dict[str, Any]:
    spec: dict[str, Any] = json.loads(app.get("plotly_chart")[place].proto.spec)
    return spec


def test_nothing_measured_says_what_to_do(make_run: MakeRun, open_app: OpenApp) -> None:
    make_run()
    app = open_app("evaluate")
    assert [heading.value for heading in app.subheader] == ["Nothing measured yet"]
    assert not app.get("plotly_chart")
    assert not app.button(key="start_evaluation").disabled
    assert "Measures the source and 3 plans." in _text(app)


def test_no_run_and_no_fronts_say_what_is_missing(make_run: MakeRun, open_app: OpenApp) -> None:
    assert "no search yet" in _alerts(open_app("evaluate"))
    make_run(with_result=False)
    assert "no fronts yet" in _alerts(open_app("evaluate"))


def test_all_methods_at_a_budget_are_started(
    make_run: MakeRun, open_app: OpenApp, started: list[Run], head_bits: int
) -> None:
    run = make_run()
    app = open_app("evaluate")
    app.number_input(key="measure_budget").set_value(25.0).run()
    assert app.query_params["budget"] == "25%"
    app.number_input(key="measure_limit").set_value(7).run()
    app.button(key="start_evaluation").click().run()
    assert not app.exception
    (evaluation,) = started
    assert [one.id for one in evaluations_of(run)] == [evaluation.id]
    assert dict(evaluation.config.points) == dict.fromkeys(
        ("gqa", "mqa", "optimal"), 12 * head_bits
    )
    assert evaluation.config.benchmark.text == "demo"
    assert evaluation.config.benchmark.limit == 7
    assert evaluation.config.benchmark.tasks == ("demo_minimal_pairs", "demo_recall")


def test_one_plan_is_that_of_the_address(
    make_run: MakeRun, open_app: OpenApp, started: list[Run], head_bits: int
) -> None:
    make_run()
    app = open_app("evaluate", method="gqa", budget="50")
    app.button_group(key="measure_which").set_value("One plan").run()
    assert app.selectbox(key="measure_method").value == "gqa"
    app.button_group(key="measure_text").set_value("No text").run()
    app.button(key="start_evaluation").click().run()
    assert started[0].config.points == (("gqa", 24 * head_bits),)
    assert started[0].config.benchmark.text is None


def test_whole_front_goes_down_to_the_smallest_cache(
    make_run: MakeRun, open_app: OpenApp, started: list[Run], head_bits: int
) -> None:
    make_run()
    app = open_app("evaluate")
    app.button_group(key="measure_which").set_value("Whole front").run()
    app.button(key="start_evaluation").click().run()
    assert not app.exception
    points = started[0].config.points
    assert "mqa" in dict(points)
    heads = [36, 24, 18, 12, 6]
    assert {bits for method, bits in points if method == "optimal"} == {
        n * head_bits for n in heads
    }


@pytest.mark.parametrize("typed", ["much", "0", "101", "nan"])
def test_budget_that_is_none_is_refused_in_place(
    make_run: MakeRun, open_app: OpenApp, typed: str
) -> None:
    make_run()
    app = open_app("evaluate")
    app.button_group(key="measure_which").set_value("Whole front").run()
    app.multiselect(key="measure_ratios").set_value([typed]).run()
    assert not app.exception
    assert repr(typed) in app.error[0].value
    assert "start_evaluation" not in [button.key for button in app.button]


def test_budget_that_no_plan_fits_is_said(make_run: MakeRun, open_app: OpenApp) -> None:
    make_run()
    app = open_app("evaluate", budget="5")
    assert "No plan fits" in app.warning[0].value
    app.button_group(key="measure_which").set_value("Whole front").run()
    app.multiselect(key="measure_ratios").set_value(["0.5"]).run()
    assert "No plan fits" in app.warning[0].value
    assert "start_evaluation" not in [button.key for button in app.button]


def test_own_budget_may_be_typed(
    make_run: MakeRun, open_app: OpenApp, started: list[Run], head_bits: int
) -> None:
    make_run()
    app = open_app("evaluate")
    app.button_group(key="measure_which").set_value("Whole front").run()
    app.multiselect(key="measure_ratios").set_value(["62.5 %"]).run()
    app.button(key="start_evaluation").click().run()
    assert ("optimal", 30 * head_bits) in started[0].config.points


def test_text_file_must_be_there(
    make_run: MakeRun, open_app: OpenApp, started: list[Run], tmp_path: Path
) -> None:
    make_run()
    app = open_app("evaluate")
    app.button_group(key="measure_text").set_value("Text file").run()
    assert "start_evaluation" not in [button.key for button in app.button]
    app.text_input(key="measure_file").set_value(str(tmp_path / "none.txt")).run()
    assert "there is no file of that name" in app.error[0].value
    text = tmp_path / "some.txt"
    text.write_text("Some words. " * 100)
    app.text_input(key="measure_file").set_value(str(text)).run()
    app.button(key="start_evaluation").click().run()
    assert started[0].config.benchmark.text == str(text)


def test_missing_harness_is_said_before_anything_starts(
    make_run: MakeRun, open_app: OpenApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run()
    app = open_app("evaluate")
    monkeypatch.setattr("views.evaluate.benchmark_form.find_spec", lambda _name: None)
    app.multiselect(key="measure_tasks").set_value(["demo_recall"]).run()
    assert "`pip install 'lm_eval" in app.warning[0].value
    assert "start_evaluation" not in [button.key for button in app.button]
    app.multiselect(key="measure_tasks").set_value([]).run()
    assert not app.warning
    assert not app.button(key="start_evaluation").disabled


def test_task_file_that_is_missing_is_refused_in_place(
    make_run: MakeRun, open_app: OpenApp, started: list[Run]
) -> None:
    make_run()
    app = open_app("evaluate")
    app.multiselect(key="measure_tasks").set_value(["/nowhere/task.yaml"]).run()
    assert not app.exception
    assert "start_evaluation" not in [button.key for button in app.button]
    assert "/nowhere/task.yaml" in app.error[0].value
    assert not started


def test_code_of_a_task_file_is_shown_and_run_only_where_it_is_ticked(
    make_run: MakeRun,
    open_app: OpenApp,
    started: list[Run],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("lm_eval")
    make_run()
    # A name without lines below, which the list of tasks shows as blanks.
    tmp_path = tmp_path_factory.mktemp("tasks")
    task = tmp_path / "own.yaml"
    task.write_text("task: own\ndataset_path: json\ndoc_to_text: !function code.asked\n")
    (tmp_path / "code.py").write_text("def asked(doc):\n    return ''\n")
    app = open_app("evaluate")
    app.multiselect(key="measure_tasks").set_value([str(task)]).run()
    assert not app.exception
    assert "own.yaml would run code.asked on this machine, with your rights." in _alerts(app)
    assert "start_evaluation" not in [button.key for button in app.button]
    # Who may name files in one folder alone does not own the machine.
    monkeypatch.setenv("QCQA_ROOT", str(tmp_path))
    app.run()
    assert "measure_task_code" not in [box.key for box in app.checkbox]
    assert "measure it with qcqa evaluate" in _alerts(app)
    monkeypatch.delenv("QCQA_ROOT")
    app.run()
    app.checkbox(key="measure_task_code").check().run()
    app.button(key="start_evaluation").click().run()
    assert not app.exception
    assert started[0].config.benchmark.allow_task_code


def test_what_is_measured_is_not_measured_again(
    make_run: MakeRun, open_app: OpenApp, measure: Measure
) -> None:
    run = make_run()
    app = open_app("evaluate")
    app.multiselect(key="measure_tasks").set_value([]).run()
    measure(run, ratios=(0.5,))
    app.session_state["measure_more"] = True
    app.run()
    assert "All of this is measured already." in _text(app)
    assert app.button(key="start_evaluation").disabled
    app.number_input(key="measure_budget").set_value(25.0).run()
    assert "Measures 2 plans." in _text(app)


def test_time_is_estimated_from_an_earlier_evaluation(
    make_run: MakeRun, open_app: OpenApp, evaluate: Evaluate
) -> None:
    run = make_run()
    # The source and three plans in two minutes, each on all samples of the stories.
    earlier = evaluate(run, "finished")
    times = {"started": "2026-01-01T00:00:00+00:00", "finished": "2026-01-01T00:02:00+00:00"}
    earlier.write_status(earlier.status().model_copy(update=times))
    app = open_app("evaluate")
    assert "judging by" not in _text(app)
    app.multiselect(key="measure_tasks").set_value([]).run()
    app.number_input(key="measure_limit").set_value(None).run()
    said = _text(app)
    assert "Measures the source and 3 plans. About 33,000 tokens with each, in bfloat16: " in said
    assert "1 to 3 minutes, judging by 1 job on this machine; about 9" in said


def test_figures_are_on_screen(make_run: MakeRun, open_app: OpenApp, measure: Measure) -> None:
    run = make_run()
    measure(run)
    app = open_app("evaluate")
    front, proxy = _chart(app, 0), _chart(app, 1)
    assert {"Optimal", "GQA", "MQA", "MHA"} <= {trace["name"] for trace in front["data"]}
    assert "next-token accuracy" in front["layout"]["yaxis"]["title"]["text"]
    assert "relative WSE" in proxy["layout"]["xaxis"]["title"]["text"]
    assert "for quality on this model" in _text(app)
    table = app.dataframe[0].value
    assert table["method"].iloc[0] == "source"
    assert len(table) == len(run.measured())
    assert app.get("download_button")


def test_a_change_that_rounds_to_zero_has_no_minus(
    make_run: MakeRun, open_app: OpenApp, measure: Measure
) -> None:
    run = make_run()
    measure(run)
    gqa = next(row for row in run.measured() if row.method == "gqa")
    figures = [
        replace(one, value=-1e-5) if one.metric == "heldout/accuracy_difference" else one
        for one in gqa.measured
    ]
    run.measured_folder.save("again", replace(gqa, measured=tuple(figures)))
    table = open_app("evaluate").dataframe[0].value
    (change,) = [name for name in table if name.endswith(", change")]
    shown = [f"{value:+.2f}" for value in table[change]]
    assert "+0.00" in shown
    assert "-0.00" not in shown


def test_what_the_source_has_no_figure_of_has_no_column_of_changes(
    make_run: MakeRun, open_app: OpenApp, measure: Measure
) -> None:
    run = make_run()
    measure(run)
    known = open_app("evaluate").dataframe[0].value
    assert [name for name in known if "change" in name]
    for place, row in enumerate(run.measured()):
        if not row.is_source:
            closeness = (Measurement("heldout/kl", 0.1, 0.01, 2000),)
            run.measured_folder.save(f"kl-{place}", replace(row, measured=closeness))
    close = open_app("evaluate", metric="heldout/kl").dataframe[0].value
    assert "KL divergence from the source, standard error" in close
    assert not [name for name in close if "change" in name]


def test_metric_is_chosen_and_kept_in_the_address(
    make_run: MakeRun, open_app: OpenApp, measure: Measure
) -> None:
    run = make_run()
    measure(run, metrics=("heldout/accuracy", "recall/acc"))
    app = open_app("evaluate")
    app.button_group(key="metric").set_value("recall/acc").run()
    assert not app.exception
    assert app.query_params["metric"] == "recall/acc"
    assert "recall" in _chart(app, 0)["layout"]["yaxis"]["title"]["text"]
    again = open_app("evaluate", metric="recall/acc")
    assert "recall" in _chart(again, 0)["layout"]["yaxis"]["title"]["text"]


def test_source_alone_is_one_chart(make_run: MakeRun, open_app: OpenApp, measure: Measure) -> None:
    measure(make_run(), ratios=())
    app = open_app("evaluate")
    assert not app.error
    assert len(app.get("plotly_chart")) == 1


def test_figures_that_are_no_numbers_are_said(
    make_run: MakeRun, open_app: OpenApp, measure: Measure
) -> None:
    measure(make_run(), value=float("nan"))
    app = open_app("evaluate")
    assert "No model has a figure for this metric" in _alerts(app)
    explore = open_app(scale="heldout/accuracy")
    assert not explore.error


def test_many_metrics_with_long_names_take_a_list(
    make_run: MakeRun, open_app: OpenApp, measure: Measure
) -> None:
    run = make_run()
    names = tuple(f"a_task_with_quite_a_long_name_{'x' * 120}_{n}/acc" for n in range(9))
    measure(run, metrics=names)
    assert len(metrics_of(run.measured())) == 9
    app = open_app("evaluate")
    assert len(app.selectbox(key="metric_list").options) == 9
    app.selectbox(key="metric_list").set_value(names[4]).run()
    assert not app.exception
    explore = open_app()
    explore.selectbox(key="scale_list").set_value(names[4]).run()
    assert explore.query_params["scale"] == names[4]
    assert len(_chart(explore, 0)["layout"]["yaxis"]["title"]["text"]) < 120


def test_what_was_measured_last_is_shown_first(
    make_run: MakeRun, open_app: OpenApp, measure: Measure, evaluate: Evaluate
) -> None:
    run = make_run()
    measure(run)
    # As it asks for all samples: fewer plans than of the first 200 have them.
    evaluate(run, "cancelled")
    measure(run, ratios=(0.75,), benchmark=Benchmark(text="demo"))
    app = open_app("evaluate")
    (choice,) = [box for box in app.selectbox if box.label == "Measured on"]
    assert "whole text" in choice.value.label
    assert 0.75 in set(app.dataframe[0].value["KV ratio"])


def test_other_conditions_are_offered_and_not_mixed(
    make_run: MakeRun, open_app: OpenApp, measure: Measure
) -> None:
    run = make_run()
    measure(run)
    measure(run, ratios=(0.75,), benchmark=Benchmark(text="demo", limit=5))
    app = open_app("evaluate")
    many = app.dataframe[0].value
    (choice,) = [box for box in app.selectbox if box.label == "Measured on"]
    choice.select_index(1).run()
    assert not app.exception
    few = app.dataframe[0].value
    assert len(many) > len(few)
    assert max(ratio for ratio in few["KV ratio"] if ratio < 1) == 0.75


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("failed", "no such text"),
        ("cancelled", "What was finished is kept"),
        # Nobody holds the lock of an evaluation that says it is at work.
        ("running", "ended without a word"),
    ],
)
def test_stopped_evaluation_says_why_keeps_its_figures_and_is_resumed(
    make_run: MakeRun,
    open_app: OpenApp,
    evaluate: Evaluate,
    measure: Measure,
    monkeypatch: pytest.MonkeyPatch,
    state: State,
    said: str,
) -> None:
    run = make_run()
    evaluation = evaluate(run, state, error="no such text" if state == "failed" else None)
    measure(run, ratios=(0.5,))
    started = []
    monkeypatch.setattr("ui.workers.start_again", lambda again: started.append(again.id))
    app = open_app("evaluate")
    assert said in _alerts(app)
    assert app.get("plotly_chart")
    app.button(key="resume_run").click().run()
    assert not app.exception
    assert started == [evaluation.id]


def test_only_the_newest_evaluation_is_told_of(
    make_run: MakeRun, open_app: OpenApp, evaluate: Evaluate, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run()
    monkeypatch.setattr("qcqa.jobs.evaluations.utc_now", lambda: "2026-01-01T00:00:00+00:00")
    evaluate(run, "cancelled")
    monkeypatch.setattr("qcqa.jobs.evaluations.utc_now", lambda: "2026-01-02T00:00:00+00:00")
    evaluate(run, "finished")
    assert not _alerts(open_app("evaluate"))


def test_evaluation_at_work_shows_its_progress(
    make_run: MakeRun, open_app: OpenApp, evaluate: Evaluate, measure: Measure
) -> None:
    run = make_run()
    evaluation = evaluate(run, "running")
    # As the worker does: whoever holds the lock is alive.
    with FileLock(evaluation.folder / ".worker.lock"):
        app = open_app("evaluate")
        assert app.button(key="cancel_run")
        assert "25 %" in app.get("progress")[0].text
        assert "start_evaluation" not in [button.key for button in app.button]
        measure(run, ratios=(0.5,))
        assert open_app("evaluate").get("plotly_chart")


def test_explore_shows_measured_figures_of_the_plans(
    make_run: MakeRun, open_app: OpenApp, measure: Measure
) -> None:
    run = make_run()
    measure(run)
    app = open_app()
    # What was measured first; the predicted error is one choice away.
    assert "accuracy" in _chart(app, 0)["layout"]["yaxis"]["title"]["text"]
    assert "next-token accuracy" in _text(app)
    assert app.subheader[0].value.startswith("Measured, within 50.0 %")
    app.session_state["all_figures"] = True
    app.selectbox(key="scale_list").set_value("relative").run()
    assert not app.exception
    assert "WSE" in _chart(app, 0)["layout"]["yaxis"]["title"]["text"]
    # Of a few stories, which a chart must say.
    assert "Next-token accuracy (small sample)" in app.dataframe[0].value
    # A budget at which only some plans were measured: nobody is called best.
    app.slider(key="budget").set_value(30.0).run()
    assert app.subheader[0].value.startswith("Estimated, within 30.0 %")


def test_metric_that_the_run_lacks_is_passed_over(make_run: MakeRun, open_app: OpenApp) -> None:
    make_run()
    app = open_app(scale="hellaswag/acc")
    assert "WSE" in _chart(app, 0)["layout"]["yaxis"]["title"]["text"]
    assert not app.error


def test_choices_come_along_to_another_page(make_run: MakeRun, open_app: OpenApp) -> None:
    run, _newer = make_run(name="One"), make_run(name="Other")
    app = open_app(run=run.id, budget="25")
    # As the browser does: the address of the other page is bare.
    app.query_params.clear()
    app.switch_page("views/evaluate/evaluate.py").run()
    assert app.query_params["run"] == run.id
    assert app.number_input(key="measure_budget").value == 25.0
    assert app.selectbox(key="run_list").value == run.id


LOAD = DecodeLoad(256)
SPEED = tuple(
    f"{LOAD.data}/{name}"
    for name in ("prefill_seconds", "seconds_per_token", "cache_bytes", "decode_speedup")
)


def test_speed_is_measured_under_the_load_that_is_asked_for(
    make_run: MakeRun, open_app: OpenApp, started: list[Run]
) -> None:
    make_run()
    app = open_app("evaluate")
    app.button_group(key="section").set_value("speed").run()
    assert app.query_params["section"] == "speed"
    assert [heading.value for heading in app.subheader] == ["Nothing measured yet"]
    app.number_input(key="speed_context_tokens").set_value(64).run()
    app.number_input(key="speed_batch_size").set_value(4).run()
    app.button(key="start_evaluation").click().run()
    assert not app.exception
    assert started[0].config.benchmark == Benchmark(speed=DecodeLoad(64, 4, 32))


def test_speed_is_shown_in_its_own_section_alone(
    make_run: MakeRun, open_app: OpenApp, measure: Measure
) -> None:
    run = make_run()
    measure(run, metrics=SPEED, benchmark=Benchmark(speed=LOAD))
    app = open_app("evaluate", section="speed")
    titles = [
        _chart(app, place)["layout"]["title"]["text"]
        for place in range(len(app.get("plotly_chart")))
    ]
    assert titles == [
        "Speed of generation over the source's",
        "Speed of the prompt over the source's",
        "KV cache after the prompt, MiB",
    ]
    assert app.dataframe[0].value["method"].iloc[0] == "source"
    assert "slower" in _text(app)
    # It is no metric of quality, here or on Explore.
    assert "Nothing measured yet" in [one.value for one in open_app("evaluate").subheader]
    assert "WSE" in _chart(open_app(), 0)["layout"]["yaxis"]["title"]["text"]


def test_loads_are_not_mixed(make_run: MakeRun, open_app: OpenApp, measure: Measure) -> None:
    run = make_run()
    measure(run, metrics=SPEED, benchmark=Benchmark(speed=LOAD))
    # One more than is shown first.
    measure(run, ratios=(), metrics=SPEED, benchmark=Benchmark(speed=DecodeLoad(32), limit=1))
    app = open_app("evaluate", section="speed")
    many = len(app.dataframe[0].value)
    app.selectbox(key="speed_conditions").select_index(1).run()
    assert not app.exception
    assert len(app.dataframe[0].value) == 1 < many


def test_the_form_says_tokens_time_memory_and_type(make_run: MakeRun, open_app: OpenApp) -> None:
    make_run()
    app = open_app("evaluate")
    app.multiselect(key="measure_tasks").set_value([]).run()
    said = _text(app)
    assert "tokens with each, in bfloat16: " in said
    assert "by counting operations; about " in said
    app.selectbox(key="measure_dtype").set_value("float32").run()
    assert "tokens with each, in float32: " in _text(app)
    speed = open_app("evaluate", section="speed")
    assert "tokens with each, in bfloat16: " in _text(speed)


def test_the_type_is_chosen_for_the_job(
    make_run: MakeRun, open_app: OpenApp, started: list[Run]
) -> None:
    make_run()
    app = open_app("evaluate")
    assert app.selectbox(key="measure_dtype").options[0] == "Automatic: bfloat16"
    app.selectbox(key="measure_dtype").set_value("float32").run()
    app.button(key="start_evaluation").click().run()
    assert not app.exception
    assert started[0].config.dtype == "float32"
    assert started[0].config.expected_seconds > 0


def test_a_slow_type_is_left_by_itself(
    make_run: MakeRun, open_app: OpenApp, started: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("model.dtype", "jobs.machine"):
        monkeypatch.setattr(f"qcqa.{place}.measured_slowdown", lambda _dtype: 6.0)
    make_run()
    app = open_app("evaluate")
    box = app.selectbox(key="measure_dtype")
    assert box.options[0] == "Automatic: float32"
    assert "takes 6.0 times as long in bfloat16" in box.help
    app.button(key="start_evaluation").click().run()
    assert started[0].config.dtype == "float32"


def test_a_text_of_a_few_words_cannot_be_measured(
    make_run: MakeRun, open_app: OpenApp, tmp_path: Path
) -> None:
    make_run()
    text = tmp_path / "few.txt"
    text.write_text("Once upon a time")
    app = open_app("evaluate")
    app.button_group(key="measure_text").set_value("Text file").run()
    app.text_input(key="measure_file").set_value(str(text)).run()
    assert "the text few has 4 tokens to score; expected at least 100" in _alerts(app)
    assert "start_evaluation" not in {button.key for button in app.button}


def test_a_measurement_is_deleted_once_it_is_confirmed(
    make_run: MakeRun, open_app: OpenApp, measure: Measure
) -> None:
    run = make_run()
    measure(run)
    measure(run, benchmark=Benchmark(text="/somewhere/junk.txt"), metrics=("junk/accuracy",))
    kept = [row for row in run.measured() if row.benchmark.text == "demo"]
    app = open_app("evaluate")
    app.button(key="manage_measurements").click().run()
    names = app.selectbox(key="forget_which").options
    (junk,) = [place for place, name in enumerate(names) if name.startswith("Text: junk.txt")]
    app.selectbox(key="forget_which").select_index(junk).run()
    assert "models would lose: " in _text(app)
    assert len(run.measured()) > len(kept)
    app.button(key="confirm_forget").click().run()
    assert not app.exception
    assert list(run.measured()) == kept
    assert "junk" not in " ".join(name for box in app.selectbox for name in box.options)


def test_nothing_is_deleted_while_an_evaluation_is_at_work(
    make_run: MakeRun, open_app: OpenApp, measure: Measure, evaluate: Evaluate
) -> None:
    run = make_run()
    measure(run)
    evaluation = evaluate(run, "running")
    with FileLock(evaluation.folder / ".worker.lock"):
        app = open_app("evaluate")
        app.button(key="manage_measurements").click().run()
        assert "is at work on these measurements" in _alerts(app)
        assert "confirm_forget" not in {button.key for button in app.button}
