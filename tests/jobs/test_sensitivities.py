"""Measurements of a plan's layers: made, carried out, stopped, resumed, and taken along."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qcqa.errors import BudgetError, EvaluationError, QCQAError, RunError
from qcqa.jobs.archive import pack_run
from qcqa.jobs.config import SensitivityConfig
from qcqa.jobs.launch import requeue
from qcqa.jobs.loading import load_run
from qcqa.jobs.run import Run, open_run
from qcqa.jobs.sensitivities import (
    FOUND,
    create_sensitivity,
    found_before,
    found_of,
    sensitivities_of,
    sensitivity_before_start,
)
from qcqa.jobs.store import find_run
from qcqa.jobs.worker import Cancelled, work
from qcqa.measure.estimate import MeasureEstimate
from qcqa.measure.sensitivity import SensitivitySettings
from qcqa.packaged import demo_model_folder
from qcqa.pick.plan import plan_of_result
from qcqa.progress import Progress

#: Bits per token of one head of the demo model: 32 elements of 16 bits.
HEAD = 512

FEW = SensitivitySettings("demo", num_windows=8, window_tokens=32)
POINT = ("gqa", 48 * HEAD)


def create(run: Run, **changes: Any) -> Run:
    return create_sensitivity(run, **{"point": POINT, "settings": FEW, **changes})


def test_a_measurement_is_a_job_of_its_search(search: Run) -> None:
    made = create(search, dtype="float32")
    assert made.folder.parent == search.folder / "sensitivity"
    assert open_run(made.folder).config == made.config
    assert find_run(made.id).folder == made.folder
    assert (made.name, made.status().state) == ("GQA at 50 %", "queued")
    with pytest.raises(RunError, match="cannot be read"):
        found_of(made)

    work(made)

    assert made.status().state == "finished"
    plan = plan_of_result(search.result(), 48 * HEAD, method="gqa")
    found = found_of(made)
    assert found.plan_digest == plan.digest
    assert (found.num_windows, len(found.layers), found.dtype) == (8, 6, "float32")
    assert all(layer.kl > 0 for layer in found.layers)
    assert not list(made.folder.glob("*.safetensors"))


def test_what_was_found_before_is_found_by_what_was_asked(search: Run) -> None:
    plan = plan_of_result(search.result(), 48 * HEAD, method="gqa")
    made = create(search)
    assert found_before(search, plan, FEW) is None
    work(made)
    before = found_before(search, plan, FEW)
    assert before is not None
    assert before.id == made.id
    other = plan_of_result(search.result(), 12 * HEAD, method="gqa")
    assert found_before(search, other, FEW) is None
    assert found_before(search, plan, FEW, dtype="float32") is None
    assert found_before(search, plan, SensitivitySettings("demo")) is None


def test_a_text_that_was_edited_is_measured_again(search: Run, tmp_path: Path) -> None:
    plan = plan_of_result(search.result(), 48 * HEAD, method="gqa")
    text = tmp_path / "own.txt"
    old = "The cat sat by the door and looked at the dog. " * 30
    new = "The dog ran to the tree and barked at the bird. " * 30
    text.write_text(old)
    settings = SensitivitySettings(str(text), num_windows=8, window_tokens=32)
    made = create(search, settings=settings)
    work(made)
    text.write_text(new)
    assert found_before(search, plan, settings) is None
    again = create(search, settings=settings)
    work(again)
    assert found_of(again).layers != found_of(made).layers
    for content, expected in ((new, again), (old, made)):
        text.write_text(content)
        before = found_before(search, plan, settings)
        assert before is not None
        assert before.id == expected.id


def test_figures_of_an_earlier_release_are_shown_and_not_taken_for_what_the_text_says(
    search: Run,
) -> None:
    plan = plan_of_result(search.result(), 48 * HEAD, method="gqa")
    made = create(search)
    work(made)
    found, path = found_of(made), made.folder / FOUND
    content = json.loads(path.read_text())
    del content["text_digest"]
    path.write_text(json.dumps(content))
    assert found_of(made) == replace(found, text_digest=None)
    assert found_before(search, plan, FEW) is None


def test_what_it_takes_is_known_from_a_measurement_in_the_same_type(search: Run) -> None:
    def before_start(dtype: str) -> MeasureEstimate:
        return sensitivity_before_start(search, point=POINT, settings=FEW, dtype=dtype)

    own, other = (before_start(dtype) for dtype in ("float32", "bfloat16"))
    assert (own.models, own.timed_jobs, other.timed_jobs) == (7, 0, 0)
    assert own.memory_bytes > other.memory_bytes
    assert sensitivities_of(search) == []
    made = create(search, dtype="float32")
    work(made)
    assert before_start("float32").tokens == found_of(made).num_tokens
    assert before_start("float32").timed_jobs == 1
    assert before_start("bfloat16").timed_jobs == 0


def test_what_cannot_be_measured_leaves_no_folder(search: Run) -> None:
    for changes, error, message in (
        ({"point": ("magic", 48 * HEAD)}, BudgetError, "method 'magic'"),
        ({"point": ("gqa", 3 * HEAD)}, BudgetError, "expected at least 12"),
        ({"point": ("mha", 96 * HEAD)}, EvaluationError, "no heads share"),
        ({"settings": SensitivitySettings("./none.txt")}, EvaluationError, "there is no file"),
    ):
        with pytest.raises(error, match=message):
            create(search, **changes)
    assert sensitivities_of(search) == []


def test_a_text_is_found_from_any_folder(
    search: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text.txt").write_text("The cat sat by the door and looked at the dog. " * 30)
    monkeypatch.chdir(tmp_path)
    config = create(search, settings=SensitivitySettings("text.txt")).config
    assert isinstance(config, SensitivityConfig)
    assert config.settings.text == str(tmp_path / "text.txt")


def test_a_cancelled_measurement_goes_on_and_ends_with_the_same(
    search: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qcqa.measure.measure_layers._BATCH_TOKENS", 1)
    undisturbed, made = create(search), create(search)
    work(undisturbed)

    def cancel(progress: Progress) -> None:
        if (progress.stage, progress.step) == ("layer 4 alone", 2):
            raise Cancelled

    with pytest.raises(Cancelled):
        work(made, on_progress=cancel)
    assert made.status().state == "cancelled"
    assert 0 < made.status().fraction < 1
    requeue(made)
    told: list[Progress] = []
    work(made, on_progress=told.append)
    assert [one.step for one in told if one.stage == "source"] == list(range(2, 9))
    assert found_of(made).layers == found_of(undisturbed).layers


def test_a_measurement_whose_text_is_gone_is_not_resumed(search: Run, tmp_path: Path) -> None:
    text = tmp_path / "own.txt"
    text.write_text("The cat sat by the door and looked at the dog. " * 30)
    made = create(search, settings=SensitivitySettings(str(text)))
    made.write_status(made.status().model_copy(update={"state": "cancelled"}))
    text.unlink()
    with pytest.raises(EvaluationError, match="there is no file"):
        requeue(made)


def test_figures_come_along_in_the_zip(
    search: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = create(search)
    work(made)
    pack_run(search, tmp_path / "run.zip")
    monkeypatch.setenv("QCQA_HOME", str(tmp_path / "elsewhere"))
    loaded = load_run(tmp_path / "run.zip")
    (there,) = sensitivities_of(loaded)
    assert found_of(there) == found_of(made)


@pytest.mark.parametrize("content", ["{", "[]", '{"format": "other"}', '{"format": 1, "a": 2}'])
def test_a_damaged_file_is_one_line(search: Run, content: str) -> None:
    made = create(search)
    (made.folder / FOUND).write_text(content)
    with pytest.raises(QCQAError) as caught:
        found_of(made)
    assert FOUND in caught.value.one_line()
    plan = plan_of_result(search.result(), 48 * HEAD, method="gqa")
    assert found_before(search, plan, FEW) is None


def test_other_jobs_and_searches_are_no_measurements(search: Run) -> None:
    with pytest.raises(RunError, match="is of kind search"):
        found_of(search)


def test_the_calibration_text_is_refused() -> None:
    included, text = find_run("demo"), str(demo_model_folder() / "calibration.txt")
    with pytest.raises(EvaluationError, match="is the calibration text of a plan"):
        create(included, point=("best", 48 * HEAD), settings=SensitivitySettings(text))
    assert sensitivities_of(included) == []
