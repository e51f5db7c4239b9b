"""What fits on a GPU follows the plan, the load and the choice of GPU."""

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from qcqa.charts.quality.capacity import capacity_sentence
from qcqa.jobs.run import Run
from qcqa.plan.budget import CacheLoad
from qcqa.plan.capacity import Server, capacity_of

OpenApp = Callable[..., AppTest]
MakeRun = Callable[..., Run]


def _text(app: AppTest) -> str:
    return " ".join(element.value for element in (*app.markdown, *app.caption))


def _sentence(run: Run, gpu: str, memory: float, heads: int, *, batch: int = 8) -> str:
    spec = run.result().spec
    server = Server(memory, 7_000_000_000, "bfloat16")
    load = CacheLoad(4096, batch, "bfloat16")
    kv_bits = heads * spec.head_bits
    plan = capacity_of(spec, server, load, kv_bits=kv_bits, num_stored_heads=heads)
    return capacity_sentence(gpu, load, capacity_of(spec, server, load), plan)


def test_model_that_is_gone_asks_for_its_parameters(make_run: MakeRun, open_app: OpenApp) -> None:
    run = make_run()
    app = open_app(budget="25")
    assert "not on this machine" in _text(app)
    app.session_state["gpu"] = True
    app.run()
    (field,) = [field for field in app.number_input if field.label.startswith("Parameters")]
    assert field.value is None
    field.set_value(7.0).run()
    assert not app.exception
    assert app.query_params["parameters"] == "7"
    assert _sentence(run, "H100 80GB", 80, 12) in _text(app)


def test_panel_follows_the_plan_and_the_gpu(make_run: MakeRun, open_app: OpenApp) -> None:
    run = make_run()
    app = open_app(parameters="7", batch="2", method="gqa", budget="60")
    assert _sentence(run, "H100 80GB", 80, 24, batch=2) in _text(app)
    app.slider(key="budget").set_value(25.0).run()
    assert _sentence(run, "H100 80GB", 80, 12, batch=2) in _text(app)
    app.session_state["gpu"] = True
    app.run()
    app.selectbox(key="gpu_name").set_value("L4 24GB").run()
    assert _sentence(run, "L4 24GB", 24, 12, batch=2) in _text(app)
    app.session_state["gpu"] = True
    app.selectbox(key="gpu_name").set_value("other").run()
    app.number_input(key="memory").set_value(640.0).run()
    assert not app.exception
    assert _sentence(run, "a GPU of 640 GiB", 640, 12, batch=2) in _text(app)
    assert (app.query_params["gpu"], app.query_params["memory"]) == ("other", "640")


def test_model_too_large_is_said_plainly(make_run: MakeRun, open_app: OpenApp) -> None:
    make_run()
    assert "no room for a KV cache" in _text(open_app(parameters="70", gpu="L4 24GB"))


@pytest.mark.parametrize(
    ("name", "value"), [("gpu", "Voodoo"), ("memory", "-1"), ("memory", "nan"), ("weights", "int3")]
)
def test_nonsense_in_the_address_is_passed_over(
    make_run: MakeRun, open_app: OpenApp, name: str, value: str
) -> None:
    run = make_run()
    app = open_app(parameters="7", **{name: value})
    assert _sentence(run, "H100 80GB", 80, 24) in _text(app)


def test_no_plan_no_panel(make_run: MakeRun, open_app: OpenApp) -> None:
    make_run()
    assert "GPU" not in _text(open_app(budget="5"))
