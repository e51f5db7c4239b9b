"""The section that generates side by side: what it starts, what it follows and what it shows."""

import json
from collections.abc import Callable

import pytest
from filelock import FileLock
from streamlit.testing.v1 import AppTest

from qcqa.jobs.config import GenerationConfig
from qcqa.jobs.generations import create_generation, generations_of
from qcqa.jobs.run import Run
from qcqa.jobs.status import RunStatus, State
from qcqa.measure.generated import GenerationSettings
from qcqa.packaged import demo_run_folder

OpenApp = Callable[..., AppTest]
MakeRun = Callable[..., Run]
Generate = Callable[..., Run]

FIGURES = {
    "prompt_tokens": 4,
    "new_tokens": 2,
    "prefill_seconds": 0.02,
    "decode_seconds": 0.01,
    "cached_tokens": 5,
    "cache_bytes": 5 * 2048,
    "ending": "length",
}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """Return the generations for which a worker would have been started."""
    runs: list[Run] = []
    monkeypatch.setattr("ui.workers.start", runs.append)
    return runs


@pytest.fixture
def generate() -> Generate:
    """Return a maker of generations with GQA, in any state, as their worker leaves them."""

    def make(
        run: Run,
        state: State,
        *,
        prompt: str = "Marco likes",
        words: tuple[str, ...] = (" eggs", "."),
        done: int = 2,
        error: str | None = None,
    ) -> Run:
        settings = GenerationSettings(prompt, 7, temperature=0.5, seed=3)
        half = run.result().spec.kv_bits // 2
        made = create_generation(run, points=(("gqa", half),), settings=settings)
        made.write_status(
            RunStatus(state=state, error=error, fraction=0.25, stage="GQA at 50 %: generating")
        )
        events: list[dict[str, object]] = []
        for model, method in enumerate(("mha", "gqa")[:done]):
            ratio = 1 - model / 2
            events.append(
                {
                    "model": model,
                    "method": method,
                    "label": method,
                    "kv_ratio": ratio,
                    "promised_bytes_per_token": int(2048 * ratio),
                }
            )
            for place, word in enumerate(words):
                # The plan's second word is another one.
                token = place + 10 * model * place
                events.append({"model": model, "token_id": token, "text": word})
            cache = {"cache_bytes": int(5 * 2048 * ratio)}
            events.append({"model": model, "figures": FIGURES | cache})
        row = {"time": "2026-01-01T00:00:00+00:00", "event": "progress"}
        lines = [json.dumps({**row, "generated": event}) for event in events]
        (made.folder / "events.jsonl").write_text("".join(line + "\n" for line in lines))
        return made

    return make


def _html(app: AppTest) -> list[str]:
    return [element.value for element in app.html]


def _text(app: AppTest) -> str:
    return " ".join(element.value for element in (*app.markdown, *app.caption))


def _alerts(app: AppTest) -> str:
    return " ".join(alert.value for alert in (*app.error, *app.warning))


def _open(open_app: OpenApp, **address: str) -> AppTest:
    return open_app("evaluate", section="texts", **address)


def test_nothing_said_yet_offers_the_recommended_plan_and_gqa(
    make_run: MakeRun, open_app: OpenApp, started: list[Run], head_bits: int
) -> None:
    run = make_run()
    app = _open(open_app)
    assert app.multiselect(key="generate_methods").value == ["optimal", "gqa"]
    app.button(key="start_generation").click().run()
    assert not app.exception
    (generation,) = started
    assert [one.id for one in generations_of(run)] == [generation.id]
    config = generation.config
    assert isinstance(config, GenerationConfig)
    assert config.points == (("optimal", 24 * head_bits), ("gqa", 24 * head_bits))
    assert config.settings.prompt.startswith("Marco likes eggs.")
    assert (config.settings.temperature, config.settings.seed) == (0.0, 0)


def test_what_is_asked_is_what_is_started(
    make_run: MakeRun, open_app: OpenApp, started: list[Run], head_bits: int
) -> None:
    make_run()
    app = _open(open_app)
    app.number_input(key="generate_budget").set_value(25.0).run()
    assert app.query_params["budget"] == "25%"
    app.multiselect(key="generate_methods").set_value(["mqa"]).run()
    app.text_area(key="generate_prompt").set_value("").run()
    app.number_input(key="generate_tokens").set_value(9).run()
    app.number_input(key="generate_temperature").set_value(0.7).run()
    app.number_input(key="generate_seed").set_value(5).run()
    app.button(key="start_generation").click().run()
    assert not app.exception
    config = started[0].config
    assert isinstance(config, GenerationConfig)
    assert config.points == (("mqa", 12 * head_bits),)
    assert config.settings == GenerationSettings("", 9, 0.7, 5)


def test_the_source_may_be_alone(make_run: MakeRun, open_app: OpenApp, started: list[Run]) -> None:
    make_run()
    app = _open(open_app)
    app.multiselect(key="generate_methods").set_value([]).run()
    app.button(key="start_generation").click().run()
    config = started[0].config
    assert isinstance(config, GenerationConfig)
    assert config.points == ()


def test_a_budget_that_no_plan_fits_is_said(make_run: MakeRun, open_app: OpenApp) -> None:
    make_run()
    app = _open(open_app, budget="5")
    assert "No plan fits" in app.warning[0].value
    assert not app.exception
    # And it comes back where plans fit again.
    app.number_input(key="generate_budget").set_value(50.0).run()
    assert not app.exception
    assert app.multiselect(key="generate_methods").options


def test_texts_stand_beside_each_other_and_the_difference_is_marked(
    make_run: MakeRun, open_app: OpenApp, generate: Generate
) -> None:
    run = make_run()
    generate(run, "finished", words=(" <eggs>", " today"))
    app = _open(open_app)
    source, plan = _html(app)
    assert "&lt;eggs&gt; today" in source
    assert "underline" not in source
    assert '&lt;eggs&gt; <span style="font-weight' in plan
    assert "same as the source for 1 token" in _text(app)
    assert "100 tokens/s" in _text(app)
    assert "5 KiB of KV cache, 50.0 % of the source's" in _text(app)
    # The form begins with what was asked last.
    assert app.text_area(key="generate_prompt").value == "Marco likes"
    assert app.number_input(key="generate_tokens").value == 7
    assert app.multiselect(key="generate_methods").value == ["gqa"]


def test_earlier_generations_can_be_looked_at_and_linked_to(
    make_run: MakeRun, open_app: OpenApp, generate: Generate, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run()
    days = iter(("2026-01-01", "2026-01-02"))
    monkeypatch.setattr("qcqa.jobs.generations.utc_now", lambda: f"{next(days)}T00:00:00+00:00")
    old = generate(run, "finished", prompt="Once")
    generate(run, "finished", prompt="Twice")
    app = _open(open_app)
    assert "Twice" in _html(app)[0]
    app.selectbox(key="generation_list").set_value(old.folder.name).run()
    assert not app.exception
    assert "Once" in _html(app)[0]
    assert app.query_params["generation"] == old.folder.name
    assert "Once" in _html(_open(open_app, generation=old.folder.name))[0]
    assert "Twice" in _html(_open(open_app, generation="gone"))[0]


def test_a_generation_at_work_shows_what_has_come(
    make_run: MakeRun, open_app: OpenApp, generate: Generate
) -> None:
    run = make_run()
    generation = generate(run, "running", done=1)
    # As the worker does: whoever holds the lock is alive.
    with FileLock(generation.folder / ".worker.lock"):
        app = _open(open_app)
        assert app.button(key="cancel_run")
        assert app.button(key="start_generation").disabled
        assert len(_html(app)) == 1
        assert "waiting" in _text(app)
        assert "25 %" in app.get("progress")[0].text


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("failed", "no tokenizer"),
        ("cancelled", "What was generated until then is shown."),
        # Nobody holds the lock of a generation that says it is at work.
        ("running", "ended without a word"),
    ],
)
def test_a_stopped_generation_says_why_keeps_its_texts_and_starts_over(
    make_run: MakeRun,
    open_app: OpenApp,
    generate: Generate,
    monkeypatch: pytest.MonkeyPatch,
    state: State,
    said: str,
) -> None:
    run = make_run()
    generation = generate(run, state, done=1, error="no tokenizer" if state == "failed" else None)
    started = []
    monkeypatch.setattr("ui.workers.start_again", lambda again: started.append(again.id))
    app = _open(open_app)
    assert said in _alerts(app)
    assert len(_html(app)) == 1
    app.button(key="resume_run").click().run()
    assert not app.exception
    assert started == [generation.id]


def test_damaged_texts_are_one_line(
    make_run: MakeRun, open_app: OpenApp, generate: Generate
) -> None:
    generation = generate(make_run(), "finished")
    event = {"time": "2026-01-01T00:00:00+00:00", "event": "progress", "generated": {"model": -1}}
    (generation.folder / "events.jsonl").write_text(json.dumps(event) + "\n")
    app = _open(open_app)
    (error,) = app.error
    assert "events.jsonl is damaged" in error.value


def test_a_plan_that_has_to_be_fitted_says_that_it_takes_long(
    open_app: OpenApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qcqa.jobs.store.demo_run_folder", demo_run_folder)
    app = _open(open_app, budget="37.5")
    assert app.multiselect(key="generate_methods").value == ["heads-bits", "gqa"]
    assert "**Heads \N{MULTIPLICATION SIGN} bits** must first be fitted" in _text(app)
    app.multiselect(key="generate_methods").set_value(["gqa"]).run()
    assert "must first be fitted" not in _text(app)
    # The plan at half the cache comes fitted with the run.
    app = _open(open_app, budget="50")
    assert app.multiselect(key="generate_methods").value == ["heads-bits", "gqa"]
    assert "must first be fitted" not in _text(app)


@pytest.mark.parametrize(("num_layers", "num_heads"), [(1, 8), (80, 64)])
def test_any_size_of_model_has_the_form(
    make_run: MakeRun, open_app: OpenApp, num_layers: int, num_heads: int
) -> None:
    make_run(num_layers=num_layers, num_heads=num_heads)
    app = _open(open_app)
    assert not app.error
    assert app.button(key="start_generation")


def test_no_run_and_no_fronts_say_what_is_missing(make_run: MakeRun, open_app: OpenApp) -> None:
    assert "no search yet" in " ".join(info.value for info in _open(open_app).info)
    make_run(with_result=False)
    assert "no fronts yet" in " ".join(info.value for info in _open(open_app).info)


def test_the_form_begins_with_whatever_was_asked_on_the_command_line(
    make_run: MakeRun, open_app: OpenApp
) -> None:
    settings = GenerationSettings("", 10**6, temperature=99.0, seed=2**32 - 1)
    create_generation(make_run(), points=(), settings=settings)
    app = _open(open_app)
    assert not app.error
    assert app.number_input(key="generate_tokens").value == 10**6
    assert app.number_input(key="generate_temperature").value == 99.0
    assert app.number_input(key="generate_seed").value == 2**32 - 1
