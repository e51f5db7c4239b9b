"""What the page shows of a finished run, and what moves when the reader moves something."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from streamlit.proto.Metric_pb2 import Metric
from streamlit.testing.v1 import AppTest

from qcqa.charts.common.kv_axis import significant
from qcqa.charts.fronts.comparison import percent_text, points_at_budget
from qcqa.jobs.run import Run

GRAY = Metric.MetricColor.GRAY
OpenApp = Callable[..., AppTest]
MakeRun = Callable[..., Run]


def _cards(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def _expected_cards(run: Run, num_heads: int) -> dict[str, str]:
    result = run.result()
    points = points_at_budget(result, num_heads * result.spec.head_bits)
    labels = {"optimal": "Optimal", "gqa": "GQA", "mqa": "MQA"}
    cards = {name: points[name] for name in labels}
    return {
        labels[name]: f"{point.relative_wse:.3f}" if point else "—" for name, point in cards.items()
    }


def _chart(app: AppTest, place: int) -> dict[str, Any]:
    spec: dict[str, Any] = json.loads(app.get("plotly_chart")[place].proto.spec)
    return spec


def _text(app: AppTest) -> str:
    return " ".join(element.value for element in (*app.subheader, *app.markdown, *app.caption))


def test_finished_run_is_on_screen(make_run: MakeRun, open_app: OpenApp) -> None:
    run = make_run()
    app = open_app()
    assert _cards(app) == _expected_cards(run, 24)
    names = [trace["name"] for trace in _chart(app, 0)["data"]]
    assert {"Lower bound", "Optimal", "GQA", "MQA", "MHA"} <= set(names)
    assert "has the lowest relative WSE" in _text(app)


def test_slider_moves_cards_charts_and_address(make_run: MakeRun, open_app: OpenApp) -> None:
    run = make_run()
    app = open_app()
    before = _chart(app, 1)["data"][0]
    app.slider(key="budget").set_value(25.0).run()
    assert not app.exception
    assert _cards(app) == _expected_cards(run, 12)
    assert _chart(app, 1)["data"][0] != before
    assert app.query_params["budget"] == "25%"


def test_address_brings_everything_back(make_run: MakeRun, open_app: OpenApp) -> None:
    run, _newer = make_run(name="One"), make_run(name="Other", num_layers=2)
    app = open_app(
        run=run.id, budget="37.5", unit="gib", method="gqa", context="1000", batch="2", scale="gap"
    )
    # The cards say of each plan what the chart shows of it.
    quarter = run.result().spec.kv_bits // 4
    at_its_size = points_at_budget(run.result(), quarter)["gqa"]
    assert at_its_size is not None
    assert _cards(app)["GQA"] == percent_text(at_its_size.over_bound)
    (slider,) = app.slider
    assert slider.value == pytest.approx(0.375 * slider.max, rel=1e-3)
    assert "1,000 tokens" in _chart(app, 0)["layout"]["xaxis"]["title"]["text"]
    assert app.button_group(key="plan_method").value == "gqa"
    assert "above the lower bound" in _chart(app, 0)["layout"]["yaxis"]["title"]["text"]


@pytest.mark.parametrize("unit", ["percent", "gib", "kib"])
def test_budget_stays_when_the_unit_changes(
    make_run: MakeRun, open_app: OpenApp, unit: str
) -> None:
    run = make_run()
    app = open_app(budget="60")
    app.button_group(key="unit").set_value(unit).run()
    assert not app.exception
    assert _cards(app) == _expected_cards(run, 28)
    (slider,) = app.slider
    slider.set_value(slider.max / 2).run()
    assert _cards(app) == _expected_cards(run, 24)


def test_load_decides_the_size_in_gib(make_run: MakeRun, open_app: OpenApp) -> None:
    make_run()
    app = open_app(unit="gib")
    full = app.slider[0].max
    app.session_state["load"] = True
    app.run()
    app.number_input(key="batch").set_value(16).run()
    # Another load, another label: the popover has closed.
    app.session_state["load"] = True
    app.run()
    app.selectbox(key="dtype").set_value("int8").run()
    assert not app.exception
    assert app.slider[0].max == pytest.approx(full)
    assert app.query_params["batch"] == "16"


def test_plan_of_another_method_is_drawn(make_run: MakeRun, open_app: OpenApp) -> None:
    make_run()
    app = open_app()
    app.button_group(key="plan_method").set_value("gqa").run()
    assert not app.exception
    assert app.query_params["method"] == "gqa"
    # Blocks of neighbours, alike in all layers.
    assert {tuple(row) for row in _chart(app, 1)["data"][0]["text"]} == {tuple("00112233")}


def test_budget_that_no_plan_fits_is_said_plainly(make_run: MakeRun, open_app: OpenApp) -> None:
    make_run()
    app = open_app(budget="5")
    assert set(_cards(app).values()) == {"—"}
    assert "No plan fits 5.0 %" in _text(app)
    assert len(app.get("plotly_chart")) == 1


def test_whole_budget_needs_no_merging(make_run: MakeRun, open_app: OpenApp) -> None:
    make_run()
    app = open_app(budget="100")
    assert {value for name, value in _cards(app).items() if name != "MQA"} == {"0.000"}
    assert "nothing needs to be merged" in _text(app)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("budget", "-3"),
        ("budget", "nan"),
        ("unit", "miles"),
        ("batch", "0"),
        ("dtype", "int3"),
        ("context", "1e9"),
        ("scale", ""),
        ("method", "magic"),
        ("colour", "red"),
    ],
)
def test_nonsense_in_the_address_is_passed_over(
    make_run: MakeRun, open_app: OpenApp, name: str, value: str
) -> None:
    run = make_run()
    assert _cards(open_app(**{name: value})) == _expected_cards(run, 24)


@pytest.mark.parametrize("unit", ["percent", "gib"])
def test_budget_can_be_typed(make_run: MakeRun, open_app: OpenApp, unit: str) -> None:
    run = make_run()
    app = open_app(unit=unit)
    app.session_state["load"] = True
    app.run()
    (field,) = [field for field in app.number_input if field.label.startswith("KV budget")]
    field.set_value(field.max / 4).run()
    assert not app.exception
    assert _cards(app) == _expected_cards(run, 12)
    assert app.query_params["budget"] == "25%"
    (slider,) = app.slider
    assert slider.value == pytest.approx(slider.max / 4)


def test_plan_by_measured_loss_is_recommended(make_run: MakeRun, open_app: OpenApp) -> None:
    run = make_run(with_best=True)
    app = open_app()
    point = points_at_budget(run.result(), run.result().spec.kv_bits // 2)["best"]
    assert point is not None
    headline = app.subheader[0].value
    assert headline.startswith("Estimated, within 50.0 % of the source's KV cache: ")
    assert "**Optimal** has the lowest relative WSE" in headline
    # Which plan is taken goes by what is closer to quality.
    assert "**Best heads** has the lowest summed rise of the loss" in headline
    # The axis is relative WSE: so are all cards, and the loss is a line of Best's.
    assert _cards(app)["Best heads"] == f"{point.relative_wse:.3f}"
    assert f"summed rise of the loss {significant(point.error)} nats per token" in _text(app)
    assert "Best heads chooses layers by measured loss, not by WSE" in _text(app)
    assert app.button_group(key="plan_method").value == "best"
    titles = [note["text"] for note in _chart(app, 1)["layout"]["annotations"]]
    assert titles == ["Keys", "Values"]
    assert "subspaces, refitted on calibration text" in str(app.table[0].value)
    app.button_group(key="plan_method").set_value("gqa").run()
    assert "mean" in str(app.table[0].value)


def test_measured_loss_has_an_axis_where_a_method_searched_by_it(
    make_run: MakeRun, open_app: OpenApp
) -> None:
    without, run = make_run(), make_run(with_best=True)
    app = open_app(run=run.id)
    app.button_group(key="scale").set_value("loss").run()
    assert not app.exception
    assert app.query_params["scale"] == "loss"
    assert "nats per token" in _chart(app, 0)["layout"]["yaxis"]["title"]["text"]
    # Where nothing was measured, the address is passed over.
    other = open_app(run=without.id, scale="loss")
    assert "relative WSE" in _chart(other, 0)["layout"]["yaxis"]["title"]["text"]


def test_error_is_never_called_accuracy(make_run: MakeRun, open_app: OpenApp) -> None:
    make_run()
    assert "accuracy" not in _text(open_app()).lower()


def _axis_type(app: AppTest) -> str:
    kind: str = _chart(app, 0)["layout"]["yaxis"]["type"]
    return kind


def test_error_axis_can_be_logarithmic(make_run: MakeRun, open_app: OpenApp) -> None:
    make_run()
    app = open_app()
    assert _axis_type(app) == "linear"
    app.toggle(key="log").set_value(True).run()
    assert not app.exception
    assert app.query_params["log"] == "True"
    assert _axis_type(app) == "log"
    assert "no error" in str(_chart(app, 0)["layout"]["annotations"])
    assert _axis_type(open_app(log="maybe")) == "linear"


def test_share_has_no_logarithmic_axis(
    make_run: MakeRun, open_app: OpenApp, measure: Callable[..., None]
) -> None:
    run = make_run()
    measure(run, metrics=("heldout/accuracy", "heldout/perplexity"))
    app = open_app(scale="heldout/accuracy", log="True")
    assert _axis_type(app) == "linear"
    assert not app.toggle
    app.selectbox(key="scale_list").set_value("heldout/perplexity").run()
    assert not app.exception
    assert _axis_type(app) == "log"
    app.toggle(key="log").set_value(False).run()
    assert _axis_type(app) == "linear"


def test_cards_and_headline_say_what_was_measured(
    make_run: MakeRun, open_app: OpenApp, measure: Callable[..., None]
) -> None:
    run = make_run(with_best=True)
    measure(run)
    app = open_app()
    assert all(value.endswith(" %") for value in _cards(app).values())
    labels = {caption.value for caption in app.caption if caption.value.startswith("measured")}
    assert labels == {"measured: next-token accuracy (small sample)"}
    assert app.subheader[0].value.startswith("Measured, within 50.0 % of the source's KV cache: ")
    # Its error is not known, so that it is neither good nor bad.
    assert {metric.proto.color for metric in app.metric if metric.delta} == {GRAY}
    # No plan of 75 % was measured: no card shows a figure of another kind.
    app.slider(key="budget").set_value(75.0).run()
    assert _cards(app)["Best heads"] == "\N{EM DASH}"
    assert "GQA has no plan of this size" in _text(app)
    assert app.subheader[0].value.startswith("Estimated, ")


def test_the_chosen_unit_is_used_above_the_chart_and_on_cards(
    make_run: MakeRun, open_app: OpenApp
) -> None:
    make_run()
    app = open_app(unit="kib", budget="30")
    assert "KiB/token of KV cache" in app.subheader[0].value
    sizes = [line for caption in app.caption for line in caption.value.splitlines()]
    sizes = [line for line in sizes if line.strip().endswith("of KV cache")]
    assert sizes
    assert all("KiB/token" in line for line in sizes)


def test_gqa_and_mqa_with_one_plan_have_one_card(make_run: MakeRun, open_app: OpenApp) -> None:
    make_run()
    assert {"GQA", "MQA"} <= set(_cards(open_app()))
    cards = _cards(open_app(budget="13"))
    assert "GQA = MQA" in cards
    assert not {"GQA", "MQA"} & set(cards)
