"""Calibration text is never evaluation text, whatever it is called and wherever it lies."""

from dataclasses import replace
from pathlib import Path

import pytest

from qcqa.errors import EvaluationError
from qcqa.jobs.evaluations import create_evaluation
from qcqa.jobs.run import open_run
from qcqa.measure.benchmark import Benchmark
from qcqa.measure.evaluate import evaluate_plans
from qcqa.measure.texts_apart import refuse_calibration_text
from qcqa.packaged import demo_model_folder, demo_run_folder
from qcqa.pick.plan import plan_of_result
from qcqa.plan.plan import CalibrationText, Plan

#: Bits per token of one head of the demo model: 32 elements of 16 bits.
HEAD = 512


@pytest.fixture(scope="module")
def best() -> Plan:
    folder = demo_run_folder()
    assert folder is not None
    return plan_of_result(open_run(folder).result(), 48 * HEAD, method="best")


def calibrated_on(plan: Plan, text: Path) -> Plan:
    return replace(plan, calibration=CalibrationText(str(text), "0" * 24, 300, 300))


def test_the_same_file_a_link_and_a_copy_are_refused(best: Plan, tmp_path: Path) -> None:
    text, link, copy, other = (tmp_path / name for name in ("a.txt", "b.txt", "c.txt", "d.txt"))
    text.write_text("The cat sat.")
    link.symlink_to(text)
    copy.write_text("The cat sat.")
    other.write_text("The dog ran.")
    plan = calibrated_on(best, text)
    for same in (text, link, copy):
        with pytest.raises(EvaluationError, match="is the calibration text of a plan"):
            refuse_calibration_text([plan], Benchmark(text=str(same)))
    for fine in (Benchmark(text=str(other)), Benchmark(text="demo"), Benchmark(tasks=("a",))):
        refuse_calibration_text([plan], fine)
    text.unlink()
    refuse_calibration_text([plan], Benchmark(text=str(copy)))


def test_the_demos_texts_are_known_by_their_name_and_by_their_files(best: Plan) -> None:
    assert best.calibration is not None
    assert best.calibration.text == "demo"
    refuse_calibration_text([best], Benchmark(text="demo"))
    with pytest.raises(EvaluationError, match=r"calibration\.txt is the calibration text"):
        refuse_calibration_text(
            [best], Benchmark(text=str(demo_model_folder() / "calibration.txt"))
        )
    held_out = calibrated_on(best, demo_model_folder() / "heldout.txt")
    with pytest.raises(EvaluationError, match="demo is the calibration text"):
        refuse_calibration_text([held_out], Benchmark(text="demo"))


def test_groups_that_were_found_by_a_text_are_not_measured_on_it(best: Plan) -> None:
    assert best.provenance["calibration"] == "demo"
    alone = replace(best, merge="mean", refit=False, calibration=None)
    with pytest.raises(EvaluationError, match="is the calibration text"):
        refuse_calibration_text(
            [alone], Benchmark(text=str(demo_model_folder() / "calibration.txt"))
        )


def test_evaluations_are_refused_before_they_begin(best: Plan) -> None:
    benchmark = Benchmark(text=str(demo_model_folder() / "calibration.txt"))
    with pytest.raises(EvaluationError, match="is the calibration text"):
        evaluate_plans("demo", [best], benchmark, on_progress=lambda _: pytest.fail("began"))
    folder = demo_run_folder()
    assert folder is not None
    run = open_run(folder, bundled=True)
    with pytest.raises(EvaluationError, match="is the calibration text"):
        create_evaluation(run, points=(("best", 48 * HEAD),), benchmark=benchmark)
