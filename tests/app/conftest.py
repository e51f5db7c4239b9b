"""The dashboard without a browser, on runs that are there at once."""

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
from numpy.typing import NDArray
from streamlit.testing.v1 import AppTest

from qcqa.jobs.evaluations import create_evaluation
from qcqa.jobs.run import Run
from qcqa.jobs.status import RunStatus, State
from qcqa.jobs.store import create_run
from qcqa.measure.benchmark import Benchmark
from qcqa.measure.evaluation import Evaluation
from qcqa.model.spec import ModelSpec
from qcqa.packaged import app_folder
from qcqa.pick.points import plans_of_points, points_along, points_at
from qcqa.plan.plan import Measurement
from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.groups.gram import HeadGram, ModelGrams, gram_of_heads
from qcqa.search.methods import run_method
from qcqa.search.result import ResultFolder
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.optimal import lower_bound
from qcqa.search.strategy.options import ExactOptions
from qcqa.search.strategy.problem import Problem, wse_problem


@pytest.fixture(autouse=True)
def _main_stays_main() -> Iterator[None]:
    """Streamlit makes the app's script ``__main__``, which processes that tests spawn would run."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture(autouse=True)
def _app_on_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let pages import their shared pieces, as they do below ``streamlit run``."""
    monkeypatch.syspath_prepend(str(app_folder()))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] in ("ui", "views")]:
        del sys.modules[name]


@pytest.fixture(autouse=True)
def _no_included_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the run that travels with the package: each test says which runs there are."""
    monkeypatch.setattr("qcqa.jobs.store.demo_run_folder", lambda: None)


@pytest.fixture
def make_run() -> Callable[..., Run]:
    """Return a maker of runs whose search is already done."""

    def make(
        *,
        name: str = "Some model",
        num_layers: int = 3,
        num_heads: int = 8,
        state: State = "finished",
        error: str | None = None,
        with_result: bool = True,
        with_best: bool = False,
    ) -> Run:
        run = create_run(model="demo", name=name, methods=("optimal",), settings=SearchSettings())
        if with_result:
            shutil.copytree(_result_folder(num_layers, num_heads), run.folder, dirs_exist_ok=True)
        if with_best:
            _save_best(ResultFolder(run.folder))
        run.write_status(
            RunStatus(state=state, error=error, fraction=0.4, step=2, total=5, stage="stage 1")
        )
        return run

    return make


@pytest.fixture
def open_app() -> Callable[..., AppTest]:
    """Return an opener of the dashboard that fails where a page raises."""

    def open_at(page: str | None = None, **address: str) -> AppTest:
        app = AppTest.from_file(str(app_folder() / "main.py"), default_timeout=60)
        for name, value in address.items():
            app.query_params[name] = value
        if page:
            app.switch_page(f"views/{page}/{page}.py")
        app.run()
        assert not app.exception
        return app

    return open_at


@pytest.fixture
def head_bits() -> int:
    """Return the bits per token of one K or V head of the made-up model."""
    return _made_up_grams(1, 1).spec.head_bits


@cache
def _result_folder(num_layers: int, num_heads: int) -> Path:
    """Return a folder with the fronts of a made-up model; made once per size."""
    folder = Path(mkdtemp(prefix="qcqa-app-test-"))
    grams = _made_up_grams(num_layers, num_heads)
    kept = ResultFolder(folder)
    kept.save_grams(grams)
    settings = SearchSettings(exact=ExactOptions(restarts=0), workers=1)
    problem = wse_problem(grams)
    kept.save_bound(lower_bound(problem, settings))
    for method in ("mha", "gqa", "mqa", "optimal"):
        kept.save_front(run_method(method, problem, settings))
    return folder


def _save_best(kept: ResultFolder) -> None:
    """Add a front by measured loss: a made-up one, quick to measure."""

    def rescore(layer: int, choices: Sequence[LayerChoice]) -> NDArray[np.float64]:
        layers = [choice.picture(8) for choice in choices]
        merged = [(8 - one.key.num_stored, 8 - one.value.num_stored) for one in layers]
        return np.array([(key**2 + 0.2 * value**2) / (100 + layer) for key, value in merged])

    grams = kept.result().grams
    make_objective = wse_problem(grams).make_objective
    problem = Problem(grams, make_objective, fitness="loss", rescore=rescore)
    kept.save_front(
        run_method("best", problem, SearchSettings(exact=ExactOptions(restarts=0), workers=1))
    )


def _made_up_grams(num_layers: int, num_heads: int) -> ModelGrams:
    rng = np.random.default_rng(0)

    def gram() -> np.ndarray:
        return gram_of_heads(rng.normal(size=(num_heads, 32)).astype(np.float32))

    spec = ModelSpec(
        source="made-up",
        revision=None,
        model_type="llama",
        num_layers=num_layers,
        num_query_heads=num_heads,
        num_kv_heads=num_heads,
        head_dim=64,
        hidden_size=64 * num_heads,
        has_kv_bias=False,
        dtype="bfloat16",
    )
    layers = tuple(HeadGram(key=gram(), value=gram()) for _ in range(num_layers))
    return ModelGrams(spec=spec, fingerprint="0" * 16, layers=layers)


@pytest.fixture
def measure() -> Callable[..., None]:
    """Return a writer of figures of a run's source and plans, as an evaluation leaves them."""

    def write(
        run: Run,
        *,
        ratios: tuple[float, ...] = (0.5, 0.25),
        metrics: tuple[str, ...] = ("heldout/accuracy", "heldout/nll"),
        benchmark: Benchmark | None = None,
        value: float = 0.5,
    ) -> None:
        result = run.result()
        how = benchmark or Benchmark(text="demo", limit=200)
        folder = run.measured_folder
        folder.make()

        def figures(scale: float, *, is_source: bool) -> tuple[Measurement, ...]:
            own = [Measurement(name, scale * value, 0.01, 100) for name in metrics]
            changes = [
                Measurement(f"{name}_difference", (scale - 1) * value, 0.01, 100)
                for name in metrics
            ]
            return tuple(own if is_source else own + changes)

        source = Evaluation.of_source(
            result.spec, how, figures(1, is_source=True), device="cpu", dtype="auto"
        )
        rows = [source]
        for plan in plans_of_points(result, points_along(result, ratios)):
            figure = figures(plan.kv_ratio - plan.predicted.relative_wse / 10, is_source=False)
            rows.append(Evaluation.of_plan(plan, how, figure, device="cpu", dtype="auto"))
        for row in rows:
            name = f"{row.method}-{row.plan_digest}-{how.limit}-{len(how.tasks)}"
            folder.save(name, row)

    return write


@pytest.fixture
def evaluate() -> Callable[..., Run]:
    """Return a maker of evaluations of a run, in any state."""

    def make(run: Run, state: State, *, error: str | None = None) -> Run:
        points = points_at(run.result(), run.result().spec.kv_bits // 2)
        evaluation = create_evaluation(run, points=points, benchmark=Benchmark(text="demo"))
        evaluation.write_status(
            RunStatus(state=state, error=error, fraction=0.25, step=1, total=4, stage="GQA: text")
        )
        return evaluation

    return make
