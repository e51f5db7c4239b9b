"""The plan that pages show before a method is chosen, why that one, and what may be missing."""

from collections.abc import Callable

import pytest
from filelock import FileLock
from streamlit.testing.v1 import AppTest

from qcqa.jobs.plans import plan_of_run
from qcqa.jobs.run import Run
from qcqa.jobs.status import State
from qcqa.measure.benchmark import Benchmark
from qcqa.measure.evaluation import Evaluation
from qcqa.plan.plan import Measurement

OpenApp = Callable[..., AppTest]
MakeRun = Callable[..., Run]


def _measure(run: Run, samples: int = 2000, **accuracies: float) -> None:
    run.measured_folder.make()
    half = run.result().spec.kv_bits // 2
    for method, accuracy in accuracies.items():
        figures = (Measurement("heldout/accuracy", accuracy, 0.001, samples),)
        plan = plan_of_run(run, half, method=method)
        row = Evaluation.of_plan(plan, Benchmark(text="demo"), figures, device="cpu", dtype="auto")
        run.measured_folder.save(method, row)


def _chosen(app: AppTest) -> str:
    return str(app.button_group(key="plan_method").value)


@pytest.mark.parametrize("page", [None, "groupings", "export"])
def test_every_page_begins_with_the_measured_best(
    make_run: MakeRun, open_app: OpenApp, page: str | None
) -> None:
    run = make_run(with_best=True)
    assert _chosen(open_app(page)) == "best"
    _measure(run, best=0.2, optimal=0.3, gqa=0.4, mqa=0.1)
    assert _chosen(open_app(page)) == "gqa"
    assert _chosen(open_app(page, method="optimal")) == "optimal"


def test_a_measured_baseline_or_a_small_sample_changes_nothing(
    make_run: MakeRun, open_app: OpenApp
) -> None:
    run = make_run(with_best=True)
    _measure(run, gqa=0.4)
    assert _chosen(open_app()) == "best"
    _measure(run, samples=4, best=0.2, optimal=0.3, gqa=0.4, mqa=0.1)
    assert _chosen(open_app()) == "best"


def test_the_sentence_is_about_the_plan_that_is_selected(
    make_run: MakeRun, open_app: OpenApp
) -> None:
    _measure(make_run(), optimal=0.3, gqa=0.4, mqa=0.1)
    said = " ".join(heading.value for heading in open_app().subheader)
    assert "**GQA**" in said
    assert "40.0 %" in said
    assert "has the lowest" not in said


def test_export_says_why_unless_the_method_was_chosen(make_run: MakeRun, open_app: OpenApp) -> None:
    run = make_run(state="cancelled")
    (run.folder / "fronts" / "optimal.plans.parquet").unlink()
    app = open_app("export")
    why = "Chosen: GQA (estimated by WSE alone: no plan was measured, and WSE need not"
    assert any(caption.value.startswith(why) for caption in app.caption)
    named = open_app("export", method="gqa")
    assert not any(caption.value.startswith("Chosen") for caption in named.caption)


@pytest.mark.parametrize(("state", "said"), [("cancelled", "was cancelled"), ("failed", "failed")])
@pytest.mark.parametrize("page", ["groupings", "export"])
def test_where_a_plan_is_taken_it_is_said_what_the_search_lacks(
    make_run: MakeRun, open_app: OpenApp, page: str, state: State, said: str
) -> None:
    run = make_run(state=state)
    (run.folder / "fronts" / "optimal.plans.parquet").unlink()
    (warning,) = open_app(page).warning
    assert warning.value == f"This search {said}: Optimal is missing; its plans may be better."


@pytest.mark.parametrize("state", ["cancelled", "failed"])
def test_explore_says_it_once(make_run: MakeRun, open_app: OpenApp, state: State) -> None:
    run = make_run(state=state, error="out of memory")
    (run.folder / "fronts" / "optimal.plans.parquet").unlink()
    said = [alert.value for alert in open_app().warning]
    assert said.count("Optimal is missing; its plans may be better.") == 1


def test_a_search_at_work_says_what_is_to_come(make_run: MakeRun, open_app: OpenApp) -> None:
    run = make_run(state="running")
    (run.folder / "fronts" / "optimal.plans.parquet").unlink()
    with FileLock(run.folder / ".worker.lock"):
        (warning,) = open_app("export").warning
    assert warning.value.startswith("This search is still at work: Optimal is missing")


@pytest.mark.parametrize("page", [None, "groupings", "export"])
def test_of_a_finished_search_nothing_is_said(
    make_run: MakeRun, open_app: OpenApp, page: str | None
) -> None:
    make_run()
    assert not open_app(page).warning
