"""A plan that is selected anywhere is selected everywhere."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from qcqa.jobs.run import Run
from qcqa.plan.budget import bits_within_ratio, parse_ratio

OpenApp = Callable[..., AppTest]
MakeRun = Callable[..., Run]


def _ring(app: AppTest) -> Any:
    traces = json.loads(app.get("plotly_chart")[0].proto.spec)["data"]
    return next((trace for trace in traces if trace["name"] == "selected"), None)


def _selected_rows(app: AppTest) -> list[int]:
    rows: list[int] = app.session_state["figures_table"]["selection"]["rows"]
    return rows


def test_card_selects_its_plan_everywhere(make_run: MakeRun, open_app: OpenApp) -> None:
    make_run()
    app = open_app()
    assert app.button_group(key="plan_method").value == "optimal"
    app.session_state["all_figures"] = True
    app.button(key="select_gqa").click().run()
    assert not app.exception
    assert app.query_params["method"] == "gqa"
    assert app.button_group(key="plan_method").value == "gqa"
    assert "selected" in app.button(key="select_gqa").label
    assert "selected" not in app.button(key="select_optimal").label
    methods = list(app.dataframe[0].value.index)
    assert _selected_rows(app) == [methods.index("gqa")]
    assert _ring(app)["x"] == [50]


def test_echo_of_a_widget_that_was_not_yet_told_is_no_choice(
    make_run: MakeRun, open_app: OpenApp
) -> None:
    make_run()
    app = open_app()
    app.button(key="select_gqa").click().run()
    # As a slow browser does: with the next event comes what the switch showed before the card.
    app.button_group(key="plan_method").set_value("optimal")
    app.slider(key="budget").set_value(60.0).run()
    assert not app.exception
    assert app.query_params["budget"] == "60%"
    assert app.query_params["method"] == "gqa"
    assert app.button_group(key="plan_method").value == "gqa"


def test_echo_of_what_a_widget_was_told_two_runs_ago_is_no_choice(
    make_run: MakeRun, open_app: OpenApp
) -> None:
    make_run()
    app = open_app(method="gqa")
    app.button(key="select_optimal").click().run()
    # The browser has not heard of it, and by the time that it has, GQA is selected again.
    app.button_group(key="plan_method").set_value("gqa")
    app.button(key="select_gqa").click().run()
    app.button_group(key="plan_method").set_value("optimal")
    app.slider(key="budget").set_value(60.0).run()
    assert app.query_params["method"] == "gqa"


def test_way_back_to_the_former_plan_is_a_choice(make_run: MakeRun, open_app: OpenApp) -> None:
    make_run()
    app = open_app()
    app.button(key="select_gqa").click().run()
    app.button_group(key="plan_method").set_value("optimal").run()
    assert app.query_params["method"] == "optimal"
    assert app.button_group(key="plan_method").value == "optimal"
    # Once the browser has answered with the new value, the old one is as good as any.
    app.button(key="select_gqa").click().run()
    app.slider(key="budget").set_value(60.0).run()
    app.button_group(key="plan_method").set_value("optimal")
    app.slider(key="budget").set_value(70.0).run()
    assert app.query_params["method"] == "optimal"


def test_card_of_a_method_without_a_plan_has_nothing_to_select(
    make_run: MakeRun, open_app: OpenApp
) -> None:
    make_run()
    buttons = [button.key for button in open_app(budget="10").button]
    assert "select_gqa" not in buttons


def test_methods_own_plan_is_marked_below_the_budget(make_run: MakeRun, open_app: OpenApp) -> None:
    make_run()
    assert _ring(open_app(budget="60", method="gqa"))["x"] == [50]


def _click(customdata: list[object]) -> None:
    import streamlit as st
    from views.explore.selection import chart_selection

    from qcqa.jobs.store import find_run, list_runs

    result = find_run(list_runs()[0].id).result()
    points = [{"customdata": customdata}] if customdata else []
    st.session_state["chart"] = {"selection": {"points": points}}
    chart_selection("chart", result)["on_select"]()


@pytest.mark.parametrize("bits", [6144, 7168, 14336, 41984, 41985, 43008])
def test_click_selects_exactly_the_plan_under_it(make_run: MakeRun, bits: int) -> None:
    spec = make_run(num_heads=7).result().spec
    app = AppTest.from_function(_click, args=(["gqa", bits, 1.5, "text"],)).run()
    assert not app.exception
    shown = app.query_params.get("budget", "50%")
    assert bits_within_ratio(spec, parse_ratio(shown)) == bits
    assert app.query_params["method"] == "gqa"


@pytest.mark.parametrize(
    "customdata",
    [[], ["gqa"], ["gqa", 43009], ["gqa", "6144"], [6144, "gqa"], ["magic", 6144]],
)
def test_click_on_nothing_selects_nothing(make_run: MakeRun, customdata: list[object]) -> None:
    make_run(num_heads=7)
    app = AppTest.from_function(_click, args=(customdata,)).run()
    assert not app.exception
    assert not app.query_params
