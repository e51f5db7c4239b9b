"""What each layer does alone, on the page of groupings: shown, followed, and measured."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from streamlit.testing.v1 import AppTest

from qcqa.jobs.config import SensitivityConfig
from qcqa.jobs.outcomes import save_outcome
from qcqa.jobs.run import Run
from qcqa.jobs.sensitivities import FOUND, create_sensitivity, sensitivities_of
from qcqa.jobs.status import RunStatus, State
from qcqa.measure.sensitivity import (
    LayerEffect,
    LayerSensitivity,
    SensitivitySettings,
    digest_of_text,
    num_passes,
)
from qcqa.packaged import demo_model_folder, demo_run_folder
from qcqa.pick.plan import plan_of_result

OpenApp = Callable[..., AppTest]
MakeRun = Callable[..., Run]
SETTINGS = SensitivitySettings("demo")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """Return the measurements for which a worker would have been started."""
    runs: list[Run] = []
    monkeypatch.setattr("ui.workers.start", runs.append)
    return runs


@pytest.fixture
def measure() -> Callable[..., Run]:
    """Return a maker of measurements in any state, as their worker leaves them."""

    def make(run: Run, state: State, *, method: str = "gqa", kl: float = 0.1) -> Run:
        half = run.result().spec.kv_bits // 2
        made = create_sensitivity(run, point=(method, half), settings=SETTINGS)
        made.write_status(
            RunStatus(state=state, fraction=0.3, step=3, total=16, stage="layer 1 alone")
        )
        if state != "finished":
            return made
        plan = plan_of_result(run.result(), half, method=method)
        layers = [
            LayerEffect(
                is_measured=True,
                kl=kl * (1 + layer),
                same_top=0.9,
                kl_error=0.01,
                same_top_error=0.01,
                behind_error=0.01,
            )
            for layer in range(3)
        ]
        found = LayerSensitivity(
            method=method,
            kv_ratio=plan.kv_ratio,
            plan_digest=plan.digest,
            settings=SETTINGS,
            window_tokens=256,
            num_windows=16,
            num_tokens=2000,
            device="cpu",
            dtype="bfloat16",
            seconds=600.0,
            token_passes=2000 * num_passes(plan),
            finished="2026-11-27T10:00:00+00:00",
            layers=tuple(layers),
            text_digest=digest_of_text(SETTINGS.text),
        )
        save_outcome(found, made.folder / FOUND)
        return made

    return make


def charts(app: AppTest) -> dict[str, dict[str, Any]]:
    found = app.get("plotly_chart")
    return {chart.proto.id.rpartition("-")[2]: json.loads(chart.proto.spec) for chart in found}


def text(app: AppTest) -> str:
    return " ".join(element.value for element in (*app.markdown, *app.caption))


def opened(open_app: OpenApp, **address: str) -> AppTest:
    """Return the page with its form unfolded."""
    app = open_app("groupings", **{"method": "gqa", **address})
    app.session_state["measure_layers"] = True
    app.run()
    assert not app.exception
    return app


def test_what_is_asked_is_what_is_started(
    make_run: MakeRun, open_app: OpenApp, started: list[Run]
) -> None:
    run = make_run()
    app = opened(open_app)
    assert "layer_effects" not in charts(app)
    said = text(app)
    assert "Reads 16 windows, with the source and 3 layers one at a time. About" in said
    assert "of memory" in said
    app.number_input(key="layers_windows").set_value(4).run()
    assert "Reads 4 windows" in text(app)
    app.button(key="start_layers").click().run()
    assert not app.exception
    (job,) = started
    assert [one.id for one in sensitivities_of(run)] == [job.id]
    config = job.config
    assert isinstance(config, SensitivityConfig)
    assert config.point == ("gqa", run.result().spec.kv_bits // 2)
    assert config.settings == replace(SETTINGS, num_windows=4)


def test_the_type_is_chosen_and_told_with_what_it_takes(
    make_run: MakeRun, open_app: OpenApp, started: list[Run]
) -> None:
    make_run()
    app = opened(open_app)
    memory = []
    for dtype in ("bfloat16", "float32"):
        app.selectbox(key="layers_dtype").set_value(dtype).run()
        (told,) = re.findall(rf"in {dtype}: .* about ([\d.]+) MiB of memory", text(app))
        memory.append(float(told))
    assert memory[0] < memory[1]
    app.button(key="start_layers").click().run()
    config = started[0].config
    assert isinstance(config, SensitivityConfig)
    assert config.dtype == "float32"


def test_what_was_measured_stands_beside_the_bars_of_its_plan_alone(
    make_run: MakeRun, open_app: OpenApp, measure: Callable[..., Run]
) -> None:
    run = make_run()
    measure(run, "finished")
    app = open_app("groupings", method="gqa")
    shown = charts(app)
    assert shown["layer_effects"]["data"][0]["x"] == pytest.approx([0.1, 0.2, 0.3])
    level = {name: shown[name]["layout"]["height"] for name in ("layer_effects", "grouping_chart")}
    assert len(set(level.values())) == 1
    assert "Layer 2 alone moves the predictions most: 0.300 ± 0.01 nats" in text(app)
    assert "held-out stories: 2,000 tokens in 16 windows" in text(app)
    app.button_group(key="plan_method").set_value("optimal").run()
    assert not app.exception
    assert "layer_effects" not in charts(app)
    assert "moves the predictions" not in text(app)


def test_the_same_again_is_not_offered_and_the_pace_of_this_machine_counts(
    make_run: MakeRun, open_app: OpenApp, measure: Callable[..., Run]
) -> None:
    run = make_run()
    measure(run, "finished")
    app = opened(open_app)
    assert "This is measured already." in text(app)
    assert app.button(key="start_layers").disabled
    app.number_input(key="layers_windows").set_value(8).run()
    assert not app.button(key="start_layers").disabled
    # Half as much as what took ten minutes.
    assert re.search("[34] to [678] minutes, judging by 1 job on this machine", text(app))


def test_a_measurement_at_work_is_followed(
    make_run: MakeRun, open_app: OpenApp, measure: Callable[..., Run]
) -> None:
    run = make_run()
    job = measure(run, "queued")
    job.write_status(
        RunStatus(state="queued", queued=job.config.created, fraction=0.3, stage="starting")
    )
    with FileLock(job.lock):
        app = open_app("groupings", method="optimal")
    assert "What each layer does alone: GQA at 50 %" in text(app)
    assert app.button(key="cancel_layers")
    assert not [one for one in app.expander if "layer" in one.label]


@pytest.mark.parametrize(
    ("state", "words"), [("cancelled", "What was read is kept"), ("failed", "no reason was given")]
)
def test_a_measurement_that_stopped_can_go_on_where_its_plan_is(
    make_run: MakeRun,
    open_app: OpenApp,
    measure: Callable[..., Run],
    state: State,
    words: str,
) -> None:
    run = make_run()
    measure(run, state)
    app = open_app("groupings", method="gqa")
    assert words in " ".join(alert.value for alert in (*app.warning, *app.error))
    assert app.button(key="resume_run")
    app.button_group(key="plan_method").set_value("mqa").run()
    assert not app.exception
    assert not [*app.warning, *app.error]


def test_a_plan_that_shares_nothing_has_nothing_to_measure(
    make_run: MakeRun, open_app: OpenApp
) -> None:
    make_run()
    app = open_app("groupings", budget="100", method="mha")
    assert not [one for one in app.expander if "layer" in one.label]


def test_a_damaged_file_is_as_if_nothing_was_measured(
    make_run: MakeRun, open_app: OpenApp, measure: Callable[..., Run]
) -> None:
    run = make_run()
    (measure(run, "finished").folder / FOUND).write_text("{")
    app = open_app("groupings", method="gqa")
    assert not app.error
    assert "layer_effects" not in charts(app)


def test_the_calibration_text_is_refused_before_start(
    open_app: OpenApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qcqa.jobs.store.demo_run_folder", demo_run_folder)
    app = opened(open_app, run="demo", method="best", budget="50")
    app.button_group(key="layers_text").set_value("Text file").run()
    assert "Enter the path of a text file" in text(app)
    app.text_input(key="layers_file").set_value(str(demo_model_folder() / "calibration.txt")).run()
    assert "is the calibration text of a plan" in app.error[0].value
    assert app.button(key="start_layers").disabled
    app.text_input(key="layers_file").set_value("/nowhere/a.txt").run()
    assert "there is no file" in app.error[0].value


def test_a_text_file_of_ones_own_is_read(
    make_run: MakeRun, open_app: OpenApp, started: list[Run], tmp_path: Path
) -> None:
    make_run()
    (tmp_path / "own.txt").write_text("The cat sat by the door and looked at the dog. " * 30)
    app = opened(open_app)
    app.button_group(key="layers_text").set_value("Text file").run()
    app.text_input(key="layers_file").set_value(f'"{tmp_path / "own.txt"}"').run()
    assert "Reads 1 window," in text(app)
    app.button(key="start_layers").click().run()
    config = started[0].config
    assert isinstance(config, SensitivityConfig)
    assert config.settings.text == str(tmp_path / "own.txt")
