"""The page that hands out the plan, tables, charts, code and the converted checkpoint."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from streamlit.testing.v1 import AppTest

from qcqa.conversion.converted import Converted
from qcqa.jobs.config import ConversionConfig
from qcqa.jobs.conversions import CONVERTED, conversions_of
from qcqa.jobs.new import write_new_run
from qcqa.jobs.outcomes import save_outcome
from qcqa.jobs.run import Run, open_run
from qcqa.jobs.status import RunStatus, State
from qcqa.jobs.store import create_run
from qcqa.jobs.worker import work
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.options import ExactOptions

OpenApp = Callable[..., AppTest]
MakeRun = Callable[..., Run]
Measure = Callable[..., None]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """Return the conversions for which a worker would have been started."""
    runs: list[Run] = []
    monkeypatch.setattr("ui.workers.start", runs.append)
    return runs


@pytest.fixture(scope="module")
def searched_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished search of the demo model; nobody writes to it."""
    folder = tmp_path_factory.mktemp("searched") / "run"
    settings = SearchSettings(exact=ExactOptions(restarts=0))
    work(create_run(model="demo", methods=("optimal",), settings=settings, folder=folder))
    return folder


@pytest.fixture
def demo(searched_demo: Path, tmp_path: Path) -> Run:
    """Return a search of a model that is really there."""
    folder = tmp_path / "home" / "runs" / "20260101-000000-demo-0000"
    shutil.copytree(searched_demo, folder)
    return open_run(folder)


@pytest.fixture
def convert(tmp_path: Path) -> Callable[..., Run]:
    """Return a maker of conversions of a run, in any state."""

    def make(
        run: Run,
        state: State,
        *,
        error: str | None = None,
        point: tuple[str, int] = ("gqa", 24),
        day: int = 1,
    ) -> Run:
        name = "out" if day == 1 else f"out-{day}"
        config = ConversionConfig(
            name=name,
            created=f"2026-01-{day:02}T00:00:00+00:00",
            point=(point[0], point[1] * run.result().spec.head_bits),
            folder=str(tmp_path / name),
        )
        conversion = write_new_run(run.additions / "conversions" / f"day-{day}", config)
        conversion.write_status(
            RunStatus(state=state, error=error, fraction=0.3, step=1, total=4, stage="writing")
        )
        return conversion

    return make


def _alerts(app: AppTest) -> str:
    return " ".join(alert.value for alert in (*app.error, *app.warning, *app.info, *app.success))


def _text(app: AppTest) -> str:
    return " ".join(element.value for element in (*app.markdown, *app.caption))


def _headings(app: AppTest) -> list[str]:
    return [heading.value for heading in app.subheader]


def _downloads(app: AppTest) -> dict[str, bool]:
    """Return the keys of the download buttons, and whether each can be clicked."""
    return {
        button.proto.id.rsplit("-", maxsplit=1)[-1]: not button.proto.disabled
        for button in app.get("download_button")
    }


def test_no_run_and_no_fronts_say_what_is_missing(make_run: MakeRun, open_app: OpenApp) -> None:
    assert "no search yet" in _alerts(open_app("export"))
    make_run(with_result=False)
    assert "nothing to export" in _alerts(open_app("export"))


def test_damaged_run_is_one_line(make_run: MakeRun, open_app: OpenApp) -> None:
    run = make_run()
    (run.folder / "config.json").write_text("{")
    (error,) = open_app("export").error
    assert "config.json" in error.value
    assert "\n" not in error.value


def test_plan_of_the_address_is_offered(make_run: MakeRun, open_app: OpenApp) -> None:
    make_run()
    app = open_app("export", method="gqa", budget="50")
    assert app.button_group(key="plan_method").value == "gqa"
    assert _headings(app) == ["Plan", "Tables", "Charts", "Converted checkpoint", "As code"]
    assert "**GQA**: 24 of 48 K and V heads, 3 KiB of KV cache per token" in _text(app)
    assert "--method gqa --budget 50%" in app.code[0].value
    compile(app.code[1].value, "copied", "exec")
    # The choice goes along to the other pages.
    app.button_group(key="plan_method").set_value("optimal").run()
    assert not app.exception
    assert app.query_params["method"] == "optimal"
    assert "--method optimal" in app.code[0].value


def test_everything_can_be_downloaded_once_it_is_there(
    make_run: MakeRun, open_app: OpenApp, measure: Measure
) -> None:
    run = make_run()
    downloads = _downloads(open_app("export", method="gqa"))
    assert not downloads.pop("download_measured")
    assert {name.removeprefix("download_") for name in downloads} == {
        "plan",
        "methods",
        "front",
        *(f"{what}_{kind}" for what in ("fronts", "heads") for kind in ("html", "png", "svg")),
    }
    measure(run)
    app = open_app("export", method="gqa")
    assert _downloads(app)["download_measured"]
    assert "measured figures" in _text(app)


def test_pictures_want_a_browser(
    make_run: MakeRun, open_app: OpenApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run()
    open_app("export")
    monkeypatch.setattr("views.export.export_cards.find_browser", lambda: None)
    app = open_app("export")
    assert "PNG and SVG want a browser here: install Chromium or Chrome" in _text(app)
    downloads = _downloads(app)
    assert downloads["download_fronts_html"]
    assert not downloads["download_fronts_png"]


def test_budget_that_no_plan_fits_leaves_tables_and_fronts(
    make_run: MakeRun, open_app: OpenApp
) -> None:
    make_run()
    app = open_app("export", budget="5")
    assert "No plan fits" in _alerts(app)
    assert _headings(app) == ["Tables", "Charts"]


@pytest.mark.parametrize(("num_layers", "num_heads"), [(1, 8), (1, 1), (80, 64)])
def test_any_size_of_model(
    make_run: MakeRun, open_app: OpenApp, num_layers: int, num_heads: int
) -> None:
    make_run(num_layers=num_layers, num_heads=num_heads)
    app = open_app("export", budget="100")
    assert "Converted checkpoint" in _headings(app)


def test_long_names_and_markup_are_only_names(make_run: MakeRun, open_app: OpenApp) -> None:
    make_run(name="x" * 300 + " <b>**:red[$\\alpha$]** ../.. '; rm -rf \u202e")
    app = open_app("export")
    assert not app.error or "search a plan" in app.error[0].value
    compile(app.code[1].value, "copied", "exec")


@pytest.mark.parametrize("state", ["running", "failed", "cancelled"])
def test_search_that_stopped_early_still_hands_out_what_is_there(
    make_run: MakeRun, open_app: OpenApp, state: State
) -> None:
    make_run(state=state)
    assert "Plan" in _headings(open_app("export"))


def test_source_that_is_another_model_now_is_refused_in_place(
    make_run: MakeRun, open_app: OpenApp
) -> None:
    # The made-up search says that it was of the demo model, whose shape is another.
    make_run()
    app = open_app("export")
    (error,) = app.error
    assert "search a plan for this model" in error.value
    assert app.button(key="start_conversion").disabled


def test_conversion_is_looked_at_and_started(
    demo: Run, open_app: OpenApp, started: list[Run], tmp_path: Path
) -> None:
    app = open_app("export", budget="37.5", method="optimal")
    assert not app.error
    text = _text(app)
    assert "of weights (source 8.6 MiB)" in text
    assert "a layer at a time" in text
    (field,) = app.text_input
    assert field.value == str(tmp_path / "home" / "converted" / "demo-optimal-kv37.5")
    field.set_value(str(tmp_path)).run()
    assert "is not empty" in app.error[0].value
    assert app.button(key="start_conversion").disabled
    app.text_input[0].set_value(str(tmp_path / "mine")).run()
    assert not app.error
    app.button(key="start_conversion").click().run()
    assert not app.exception
    (conversion,) = started
    assert [one.id for one in conversions_of(demo)] == [conversion.id]
    assert conversion.config.point == ("optimal", 36 * demo.result().spec.head_bits)
    assert conversion.config.folder == str(tmp_path / "mine")


def test_the_source_itself_is_not_converted(demo: Run, open_app: OpenApp) -> None:
    app = open_app("export", budget="100", run=demo.id)
    assert "every head keeps its own" in app.error[0].value
    assert app.button(key="start_conversion").disabled


def test_conversion_at_work_shows_its_progress(
    make_run: MakeRun, open_app: OpenApp, convert: Callable[..., Run]
) -> None:
    conversion = convert(make_run(), "running")
    # As the worker does: whoever holds the lock is alive.
    with FileLock(conversion.folder / ".worker.lock"):
        app = open_app("export")
    assert app.button(key="cancel_run")
    assert "30 %" in app.get("progress")[0].text
    assert "start_conversion" not in [button.key for button in app.button]


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("failed", "disk full"),
        ("cancelled", "Nothing half-written is kept"),
        ("running", "ended without a word"),
    ],
)
def test_conversion_that_stopped_can_be_resumed(
    demo: Run,
    open_app: OpenApp,
    convert: Callable[..., Run],
    monkeypatch: pytest.MonkeyPatch,
    state: State,
    said: str,
) -> None:
    conversion = convert(
        demo, state, error="disk full" if state == "failed" else None, point=("gqa", 48)
    )
    resumed: list[str] = []
    monkeypatch.setattr("ui.workers.start_again", lambda run: resumed.append(run.id))
    app = open_app("export")
    assert said in _alerts(app)
    app.button(key="resume_run").click().run()
    assert not app.exception
    assert resumed == [conversion.id]


@pytest.mark.parametrize("held", [3072.0, None])
def test_finished_conversion_says_what_its_cache_holds(
    make_run: MakeRun,
    open_app: OpenApp,
    convert: Callable[..., Run],
    tmp_path: Path,
    held: float | None,
) -> None:
    conversion = convert(make_run(), "finished")
    folder = tmp_path / "out"
    converted = Converted(str(folder), 3 * 2**20, 2 * 2**20, 3072, held)
    save_outcome(converted, conversion.folder / CONVERTED)
    app = open_app("export")
    assert "is no longer there" in _alerts(app)
    folder.mkdir()
    app = open_app("export")
    assert f"Written to {folder}" in _alerts(app)
    shown = str(app.table[0].value)
    assert "3,072 bytes per token" in shown
    assert ("too little memory" in shown) == (held is None)
    assert _downloads(app)["download_checkpoint"]
    compile(app.code[0].value, "copied", "exec")


def test_large_checkpoints_are_not_zipped(
    make_run: MakeRun, open_app: OpenApp, convert: Callable[..., Run], tmp_path: Path
) -> None:
    conversion = convert(make_run(), "finished")
    (tmp_path / "out").mkdir()
    converted = Converted(str(tmp_path / "out"), 14 * 2**30, 13 * 2**30, 3072, 3072.0)
    save_outcome(converted, conversion.folder / CONVERTED)
    app = open_app("export")
    assert "13 GiB, source 14 GiB" in str(app.table[0].value)
    assert "download_checkpoint" not in _downloads(app)


def test_earlier_conversions_are_listed_newest_first(
    make_run: MakeRun, open_app: OpenApp, convert: Callable[..., Run], tmp_path: Path
) -> None:
    run = make_run()
    convert(run, "finished")
    (tmp_path / "out").mkdir()
    convert(run, "finished", day=2)
    # The best plan of GQA within 20 heads has 12: a quarter of the source's.
    convert(run, "cancelled", day=3, point=("gqa", 20))
    (convert(run, "finished", day=4).folder / "status.json").write_text("{")
    convert(run, "failed", day=5, error="disk full")
    app = open_app("export")
    [earlier] = [one for one in app.expander if "earlier" in one.label]
    assert earlier.label == "4 earlier conversions"
    folders = [re.sub(r"\\(.)", r"\1", one.value) for one in earlier.markdown]
    assert folders == [str(tmp_path / name) for name in ("out-4", "out-3", "out-2", "out")]
    assert [one.value.rsplit(" · ", 1)[0] for one in earlier.caption] == [
        "GQA, KV ratio 0.5 · damaged",
        "GQA, KV ratio 0.25 · cancelled",
        "GQA, KV ratio 0.5 · gone",
        "GQA, KV ratio 0.5 · finished",
    ]
    assert earlier.caption[1].value.endswith("3 Jan 2026, 00:00:00 UTC")


def test_damaged_conversion_does_not_hide_the_rest(
    make_run: MakeRun, open_app: OpenApp, convert: Callable[..., Run]
) -> None:
    conversion = convert(make_run(), "finished")
    (conversion.folder / CONVERTED).write_text("{")
    app = open_app("export")
    assert any("converted.json" in error.value for error in app.error)
    assert "As code" in _headings(app)


def test_a_picture_that_could_not_be_drawn_is_said_in_place(
    make_run: MakeRun, open_app: OpenApp
) -> None:
    make_run()
    app = open_app("export")
    # A click draws in a thread of the server's own, which leaves word here.
    app.session_state["problems_with_charts"]["download_fronts_png"] = "the browser drew nothing"
    app.run()
    assert "the browser drew nothing" in [error.value for error in app.error]
