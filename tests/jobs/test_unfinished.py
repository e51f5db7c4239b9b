"""What a search says of itself that did not finish, and that its plans carry it along."""

import shutil
from pathlib import Path

import pytest

from qcqa.errors import BudgetError
from qcqa.files.locks import hold
from qcqa.jobs.plans import origin_of, plan_of_run
from qcqa.jobs.run import Run, open_run
from qcqa.jobs.status import RunStatus, State
from qcqa.jobs.unfinished import unfinished


@pytest.fixture
def run(searched_demo: Path, tmp_path: Path) -> Run:
    """Return a search of the test's own, whose method is there."""
    folder = tmp_path / "home" / "runs" / "run"
    shutil.copytree(searched_demo, folder)
    return open_run(folder)


def _stop(run: Run, state: State, *, without: str | None = None) -> None:
    run.write_status(RunStatus(state=state))
    if without:
        (run.folder / "fronts" / f"{without}.plans.parquet").unlink()


def test_a_finished_search_lacks_nothing(run: Run) -> None:
    assert unfinished(run) is None
    assert origin_of(plan_of_run(run, 48 * run.result().spec.head_bits, method="gqa")) == {}


@pytest.mark.parametrize(
    ("state", "says", "can_resume"),
    [
        ("cancelled", "This search was cancelled", True),
        ("failed", "This search failed", True),
        # Nobody holds it.
        ("running", "This search stopped unexpectedly", True),
        ("queued", "This search has not begun", True),
    ],
)
def test_what_is_missing_is_named(run: Run, state: State, says: str, can_resume: bool) -> None:
    _stop(run, state, without="optimal")
    lacks = unfinished(run)
    assert lacks is not None
    assert lacks.missing == ("optimal",)
    assert lacks.sentence == f"{says}: Optimal is missing; its plans may be better."
    assert lacks.can_resume == can_resume


@pytest.mark.parametrize(
    ("state", "says"), [("running", "is still at work"), ("queued", "has not begun")]
)
def test_a_search_at_work_says_so(run: Run, state: State, says: str) -> None:
    _stop(run, state, without="optimal")
    with hold(run.lock):
        lacks = unfinished(open_run(run.folder))
    assert lacks is not None
    assert lacks.sentence.startswith(f"This search {says}: Optimal is missing")
    assert not lacks.can_resume


def test_a_state_that_cannot_be_read_is_not_taken_for_finished(run: Run) -> None:
    (run.folder / "status.json").write_text("{")
    lacks = unfinished(run)
    assert lacks is not None
    assert (lacks.state, lacks.missing) == ("damaged", ())
    assert "does not say whether it finished" in lacks.sentence


def test_a_method_that_is_missing_is_refused_with_the_remedy(run: Run) -> None:
    _stop(run, "cancelled", without="optimal")
    with pytest.raises(BudgetError, match=r"no plan of 'optimal' yet; .* qcqa runs resume run$"):
        plan_of_run(run, 48 * run.result().spec.head_bits, method="optimal")


def test_its_plans_carry_it_along_whoever_asks_for_them(run: Run) -> None:
    _stop(run, "cancelled", without="optimal")
    lacks = unfinished(run)
    assert lacks is not None
    for method in (None, "gqa"):
        plan = plan_of_run(run, 48 * run.result().spec.head_bits, method=method)
        assert plan.provenance["search"] == lacks.to_json()
        assert plan.provenance["search"]["missing"] == ["optimal"]
        assert ("chosen" in plan.provenance) is (method is None)
