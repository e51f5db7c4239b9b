"""Being rid of measurements: which rows go, and what stays."""

from dataclasses import replace

import pytest

from qcqa.errors import EvaluationError, RunError
from qcqa.files.locks import hold
from qcqa.jobs.evaluations import create_evaluation
from qcqa.jobs.measurements import forget, measurements_of
from qcqa.jobs.run import Run
from qcqa.measure.benchmark import Benchmark
from qcqa.measure.evaluation import Evaluation
from qcqa.pick.points import plans_of_points, points_along
from qcqa.plan.plan import Measurement

JUNK = Benchmark(text="/somewhere/junk.txt", limit=200)
GOOD = Benchmark(text="demo", tasks=("demo_recall",), limit=200)


@pytest.fixture
def measured(search: Run) -> Run:
    """Return a search of which a good text and a junk one were measured."""
    search.measured_folder.make()
    result = search.result()
    for how, name in ((JUNK, "junk"), (GOOD, "heldout")):
        figures = (Measurement(f"{name}/accuracy", 0.25), Measurement("demo_recall/acc", 0.5))
        figures = figures[:1] if how is JUNK else figures
        where = {"device": "cpu", "dtype": "auto"}
        rows = [Evaluation.of_source(result.spec, how, figures, **where)]
        for plan in plans_of_points(result, points_along(result, (0.5, 0.25))):
            rows.append(Evaluation.of_plan(plan, how, figures, **where))
        for number, row in enumerate(rows):
            search.measured_folder.save(f"{name}-{number}", row)
    return search


def test_a_text_goes_with_all_its_rows_and_nothing_else(measured: Run) -> None:
    before = [row for row in measured.measured() if row.benchmark == GOOD]
    (junk,) = [one for one in measurements_of(measured) if one.benchmark == JUNK]
    assert junk.metrics == ("junk/accuracy",)
    assert forget(measured, [junk]).deleted == len(junk.rows) == len(before)
    assert list(measured.measured()) == before
    with pytest.raises(EvaluationError, match="no such measurement"):
        forget(measured, [junk])


def test_only_the_models_that_are_named_go(measured: Run) -> None:
    (recall,) = [one for one in measurements_of(measured) if one.part == "task demo_recall"]
    (going,) = {row.kv_bits for row in recall.rows if row.method == "mqa"}
    rows = measured.measured()
    assert forget(measured, [recall], models=[("mqa", going)]).deleted == 1
    kept = {(row.method, row.kv_bits, row.benchmark) for row in measured.measured()}
    assert ("mqa", going, replace(GOOD, tasks=())) in kept
    assert len(kept) == len(rows)
    assert ("mqa", going, JUNK) in kept


def test_it_is_refused_while_an_evaluation_is_at_work(measured: Run) -> None:
    points = points_along(measured.result(), (0.5,))
    evaluation = create_evaluation(measured, points=points, benchmark=Benchmark(text="demo"))
    before = measured.measured()
    with hold(evaluation.lock), pytest.raises(RunError, match="is at work") as caught:
        forget(measured, measurements_of(measured))
    assert evaluation.id in str(caught.value)
    assert measured.measured() == before
