"""The run that the dashboard shows first belongs to the model that travels with it."""

from pathlib import Path

from qcqa.jobs.included import BENCHMARK, MEASURED_AT, create_included_search
from qcqa.jobs.plans import plan_of_run
from qcqa.jobs.run import open_run
from qcqa.model.opening import open_checkpoint
from qcqa.packaged import demo_run_folder
from qcqa.pick.points import points_along
from qcqa.plan.budget import bits_within_ratio
from qcqa.search.presets import preset_named


def test_the_included_run_is_finished_and_of_the_included_model() -> None:
    folder = demo_run_folder()
    assert folder is not None
    run = open_run(folder, bundled=True)
    assert run.status().state == "finished"
    result = run.result()
    assert set(result.fronts) == {"mha", "gqa", "mqa", *preset_named("best").methods}
    assert result.grams.fingerprint == open_checkpoint("demo").fingerprint()


def test_the_included_run_is_what_its_command_makes(tmp_path: Path) -> None:
    folder = demo_run_folder()
    assert folder is not None
    included = open_run(folder, bundled=True)
    again = create_included_search(tmp_path / "run").search
    assert again.model_copy(update={"created": included.search.created}) == included.search
    result = included.result()
    points = points_along(result, MEASURED_AT)
    fronts = {name: result.front(name) for name, _ in points}
    plans = {(name, int(fronts[name].cost[fronts[name].within(at)])) for name, at in points}
    rows = included.measured()
    assert {row.benchmark for row in rows} == {BENCHMARK}
    assert {(row.method, row.kv_bits) for row in rows} >= plans


def test_the_plan_that_is_shown_first_needs_no_refit_to_be_tried() -> None:
    folder = demo_run_folder()
    assert folder is not None
    run = open_run(folder, bundled=True)
    plan = plan_of_run(run, bits_within_ratio(run.result().spec, 0.5))
    assert plan.method == "heads-bits"
    assert run.fitted_folder.load(plan) is not None


def test_the_included_figures_cover_all_methods_and_keep_their_promise() -> None:
    folder = demo_run_folder()
    assert folder is not None
    run = open_run(folder)
    spec, rows = run.result().spec, run.measured()
    assert {row.method for row in rows} >= {"mha", "gqa", "mqa", "qcqa-ec", "qcqa-ac", "best"}
    for row in rows:
        held = row.figure("cache_bytes_per_token")
        assert held is not None
        if row.read_bits is None:
            promised = row.kv_ratio * spec.kv_bytes_per_token()
            assert held.value == row.kv_bytes_per_token == promised
        else:
            # Of a prompt that is mostly in the window.
            assert row.kv_bytes_per_token < held.value < spec.kv_bytes_per_token()
        for metric in ("heldout/perplexity", "heldout/accuracy", "demo_recall/acc"):
            figure = row.figure(metric)
            assert figure is not None
            assert figure.standard_error
