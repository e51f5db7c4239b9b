"""Other runs are laid over the one on screen, where they are comparable."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from qcqa.jobs.run import Run
from qcqa.measure.benchmark import Benchmark

OpenApp = Callable[..., AppTest]
MakeRun = Callable[..., Run]
Measure = Callable[..., None]


def _traces(app: AppTest) -> dict[str, Any]:
    return {
        trace["name"]: trace for trace in json.loads(app.get("plotly_chart")[0].proto.spec)["data"]
    }


def _text(app: AppTest) -> str:
    return " ".join(element.value for element in (*app.markdown, *app.caption))


def test_run_alone_has_nothing_to_compare_with(make_run: MakeRun, open_app: OpenApp) -> None:
    make_run()
    make_run(with_result=False, state="cancelled")
    run = make_run(name="Whole")
    assert len(open_app(run=run.id).multiselect) == 1
    assert len(open_app(run=run.id).multiselect[0].options) == 1


def test_chosen_run_is_drawn_and_in_the_address(make_run: MakeRun, open_app: OpenApp) -> None:
    other, run = make_run(name="Older", num_layers=1), make_run(name="Newer")
    app = open_app(run=run.id)
    before = _traces(app)
    app.multiselect(key="others").set_value([other.id]).run()
    assert not app.exception
    assert app.query_params["with"] == other.id
    assert set(_traces(app)) - set(before) == {"Older, Optimal"}
    # The selected method is compared, where the other run has it.
    again = open_app(run=run.id, method="gqa", **{"with": other.id})
    assert "Older, GQA" in _traces(again)
    # Slider and plan stay with the run itself.
    again.slider(key="budget").set_value(25.0).run()
    assert "Older, GQA" in _traces(again)
    assert again.query_params["run"] == run.id


def test_run_of_another_geometry_is_compared_in_percent_only(
    make_run: MakeRun, open_app: OpenApp
) -> None:
    other, run = make_run(name="Other", num_layers=1), make_run(name="Same")
    twin = make_run(name="Twin")
    app = open_app(run=run.id, unit="gib", **{"with": f"{other.id},{twin.id}"})
    assert "Other has a cache of another size: compare in %" in _text(app)
    assert "Twin, Optimal" in _traces(app)
    app.button_group(key="unit").set_value("percent").run()
    assert {"Other, Optimal", "Twin, Optimal"} <= set(_traces(app))
    assert "Not drawn" not in _text(app)


def test_measured_figures_need_the_same_samples(
    make_run: MakeRun, open_app: OpenApp, measure: Measure
) -> None:
    run, same, fewer, none = (make_run(name=name) for name in ("Run", "Same", "Fewer", "None"))
    for one in (run, same):
        measure(one)
    measure(fewer, benchmark=Benchmark(text="demo", limit=5))
    ids = ",".join(one.id for one in (same, fewer, none))
    app = open_app(run=run.id, scale="heldout/accuracy", **{"with": ids})
    assert "Fewer was measured on other samples" in _text(app)
    assert "None was not measured in this" in _text(app)
    names = set(_traces(app))
    assert "Same, Optimal" in names
    assert not any(name.startswith(("Fewer", "None")) for name in names)


@pytest.mark.parametrize("ids", ["", "gone", ",,", "{run}"])
def test_nonsense_in_the_address_is_passed_over(
    make_run: MakeRun, open_app: OpenApp, ids: str
) -> None:
    make_run(name="Other")
    run = make_run()
    app = open_app(run=run.id, **{"with": ids.format(run=run.id)})
    assert app.multiselect(key="others").value == []
    assert "Not drawn" not in _text(app)


def test_damaged_run_does_not_hide_the_page(make_run: MakeRun, open_app: OpenApp) -> None:
    other, run = make_run(name="Broken"), make_run(name="Whole")
    (other.folder / "fronts" / "gqa.plans.parquet").write_bytes(b"no table")
    app = open_app(run=run.id, **{"with": other.id})
    assert "gqa.plans.parquet" in _text(app)
    assert not app.error
    assert app.metric


def test_markup_in_a_name_is_only_a_name(make_run: MakeRun, open_app: OpenApp) -> None:
    other, run = make_run(name="<b>**:red[x]**", num_layers=1), make_run()
    app = open_app(run=run.id, **{"with": other.id})
    assert "&lt;b&gt;**:red[x]**, Optimal" in _traces(app)
    app.button_group(key="unit").set_value("gib").run()
    assert r"\<b\>\*\*\:red\[x\]\*\* has a cache of another size" in _text(app)
