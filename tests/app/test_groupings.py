"""The page of groupings: the plan that Explore shows, plans beside it, and one layer of it."""

import base64
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from qcqa.charts.layers.differences import plan_difference
from qcqa.jobs.run import Run
from qcqa.jobs.status import State
from qcqa.pick.plan import plan_of_result
from qcqa.reduce.groups.costs import layer_costs
from qcqa.reduce.groups.gram import head_similarity

OpenApp = Callable[..., AppTest]
MakeRun = Callable[..., Run]


def _charts(app: AppTest) -> dict[str, dict[str, Any]]:
    """Return the page's figures by the key of their chart."""
    charts = app.get("plotly_chart")
    # An element's id ends in its key.
    return {chart.proto.id.rpartition("-")[2]: json.loads(chart.proto.spec) for chart in charts}


def _text(app: AppTest) -> str:
    return " ".join(element.value for element in (*app.subheader, *app.markdown, *app.caption))


def test_plan_is_the_one_of_the_address(
    make_run: MakeRun, open_app: OpenApp, head_bits: int
) -> None:
    run = make_run()
    app = open_app("groupings", budget="37.5", method="optimal")
    plan = plan_of_result(run.result(), 18 * head_bits, method="optimal")
    chart = _charts(app)["grouping_chart"]
    numbers = [
        [str(n) if layer.key.reads.count(n) > 1 else "" for n in layer.key.reads]
        for layer in plan.pictures
    ]
    assert chart["data"][0]["text"] == numbers
    assert app.button_group(key="plan_method").value == "optimal"
    assert f"keeps {plan.num_stored_heads} of 48 K and V heads" in _text(app)


def test_slider_and_method_move_everything(make_run: MakeRun, open_app: OpenApp) -> None:
    make_run()
    app = open_app("groupings", budget="75")
    before = _charts(app)
    app.slider(key="budget").set_value(25.0).run()
    assert not app.exception
    after = _charts(app)
    assert all(
        before[key]["data"] != after[key]["data"] for key in ("grouping_chart", "layer_bars")
    )
    app.button_group(key="plan_method").set_value("mqa").run()
    assert app.query_params["method"] == "mqa"
    assert {*_charts(app)["grouping_chart"]["data"][0]["text"][0]} == {"0"}


def test_plans_stand_side_by_side(make_run: MakeRun, open_app: OpenApp, head_bits: int) -> None:
    run = make_run(with_best=True)
    app = open_app("groupings", compare="best,gqa")
    shown = {key for key in _charts(app) if key.startswith("groups_of_")}
    assert shown == {"groups_of_best", "groups_of_gqa"}
    best, gqa = (
        plan_of_result(run.result(), 24 * head_bits, method=name) for name in ("best", "gqa")
    )
    assert plan_difference(best, gqa).sentence in _text(app)
    # No more than four: the first makes room.
    app.button_group(key="compare").set_value(["best", "optimal", "gqa", "mqa"]).run()
    assert app.query_params["compare"] == "best,gqa,optimal,mqa"
    app.button_group(key="compare").set_value([]).run()
    assert not app.exception
    assert "Choose whose plans" in _text(app)
    assert "difference_chart" not in _charts(app)


def test_two_plans_are_chosen_and_swapped(
    make_run: MakeRun, open_app: OpenApp, head_bits: int
) -> None:
    run = make_run()
    app = open_app("groupings", compare="optimal,gqa,mqa", pair="gqa,mqa")
    gqa, mqa = (
        plan_of_result(run.result(), 24 * head_bits, method=name) for name in ("gqa", "mqa")
    )
    assert plan_difference(gqa, mqa).sentence in _text(app)
    app.selectbox(key="pair_one").set_value("mqa").run()
    assert not app.exception
    assert app.query_params["pair"] == "mqa,gqa"
    assert app.selectbox(key="pair_other").value == "gqa"
    app.selectbox(key="pair_other").set_value("optimal").run()
    assert app.query_params["pair"] == "mqa,optimal"


def test_layer_shows_similarity_and_costs(
    make_run: MakeRun, open_app: OpenApp, head_bits: int
) -> None:
    run = make_run()
    app = open_app("groupings", method="optimal")
    app.slider(key="layer").set_value(2).run()
    assert app.query_params["layer"] == "2"
    result = run.result()
    plan = plan_of_result(result, 24 * head_bits, method="optimal")
    chart = _charts(app)["similarity_shared"]
    order = [int(text) for text in chart["layout"]["xaxis"]["ticktext"]]
    similarity = head_similarity(result.grams.layers[2].total)[np.ix_(order, order)]
    assert _matrix(chart["data"][0]["z"]) == pytest.approx(similarity)
    (cost,) = layer_costs(result.grams.layers[2], plan.layers[2])
    frame = app.dataframe[1].value
    assert frame["WSE"].sum() == pytest.approx(cost.wse)
    assert app.dataframe[0].value["WSE"].tolist() == pytest.approx([cost.wse])
    app.button_group(key="kind").set_value("value").run()
    assert not app.exception
    assert "similarity_value" in _charts(app)
    app.toggle(key="stretch").set_value(True).run()
    limit = _charts(app)["similarity_value"]["data"][0]["zmax"]
    assert 0 < limit < 1
    assert app.query_params["kind"] == "value"


def _matrix(encoded: dict[str, Any]) -> np.ndarray:
    """Return an array as Plotly sends it."""
    shape = tuple(int(n) for n in encoded["shape"].split(","))
    return np.frombuffer(base64.b64decode(encoded["bdata"]), encoded["dtype"]).reshape(shape)


def test_keys_and_values_apart_are_shown_apart(make_run: MakeRun, open_app: OpenApp) -> None:
    make_run(with_best=True)
    app = open_app("groupings", method="best", budget="50")
    titles = [note["text"] for note in _charts(app)["grouping_chart"]["layout"]["annotations"]]
    assert titles == ["Keys", "Values"]
    assert {"similarity_key", "similarity_value"} <= set(_charts(app))
    assert "raised the loss" in _text(app)
    assert set(app.dataframe[1].value["of"]) == {"keys", "values"}


def test_budget_that_no_plan_fits_is_said_plainly(make_run: MakeRun, open_app: OpenApp) -> None:
    make_run()
    app = open_app("groupings", budget="5")
    assert "No plan fits 5.0 %" in _text(app)
    assert not app.get("plotly_chart")


def test_source_itself_is_shown(make_run: MakeRun, open_app: OpenApp) -> None:
    make_run()
    app = open_app("groupings", budget="100", method="mha")
    assert "Nothing is lost" in _text(app)
    assert "Every head keeps its own" in _text(app)


@pytest.mark.parametrize(("num_layers", "num_heads"), [(1, 8), (1, 1), (80, 64)])
def test_any_size_of_model_is_drawn(
    make_run: MakeRun, open_app: OpenApp, num_layers: int, num_heads: int
) -> None:
    make_run(num_layers=num_layers, num_heads=num_heads)
    app = open_app("groupings", budget="60", layer="500")
    assert not app.error
    fits = num_heads > 1
    assert ("grouping_chart" in _charts(app)) == fits
    # A slider with one place is none.
    assert len(app.slider) == (2 if num_layers > 1 else 1)


@pytest.mark.parametrize(
    "address",
    [
        {"layer": "-1", "kind": "both", "pair": "gqa", "compare": "magic,gqa"},
        {"layer": "x", "pair": "magic,tricks", "compare": ",,", "stretch": "perhaps"},
        {"method": "magic", "pair": "gqa,gqa", "compare": "gqa,gqa,optimal"},
    ],
)
def test_nonsense_in_the_address_does_no_harm(
    make_run: MakeRun, open_app: OpenApp, address: dict[str, str]
) -> None:
    make_run()
    app = open_app("groupings", **address)
    assert not app.error
    assert "grouping_chart" in _charts(app)


def test_no_run_at_all_says_what_to_do(open_app: OpenApp) -> None:
    app = open_app("groupings")
    assert [info.value for info in app.info] == [
        "There is no search yet. Start one with **New search**."
    ]


@pytest.mark.parametrize("state", ["running", "failed", "cancelled", "queued"])
def test_run_without_a_result_has_no_plans(
    make_run: MakeRun, open_app: OpenApp, state: State
) -> None:
    make_run(state=state, with_result=False)
    app = open_app("groupings")
    assert "no fronts yet" in app.info[0].value


@pytest.mark.parametrize("file", ["config.json", "fronts/gqa.plans.parquet"])
def test_damaged_run_is_one_line(make_run: MakeRun, open_app: OpenApp, file: str) -> None:
    run = make_run()
    (run.folder / file).write_bytes(b"{")
    app = open_app("groupings")
    (error,) = app.error
    assert file.rpartition("/")[2] in error.value
    assert "\n" not in error.value
