"""In which type models run: the checkpoint's, unless this processor is slow in it."""

import pytest
import torch

from qcqa.measure.benchmark import Benchmark
from qcqa.measure.evaluate import evaluate_plans
from qcqa.measure.plan_models import models_of
from qcqa.model.dtype import dtype_to_run, kept_dtype
from qcqa.model.dtype import measured_slowdown as really_measured


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take bfloat16 on a processor without hardware for it."""
    for place in ("model.dtype", "jobs.machine"):
        monkeypatch.setattr(f"qcqa.{place}.measured_slowdown", lambda _dtype: 6.0)


@pytest.mark.parametrize(
    ("asked", "own", "device", "chosen"),
    [
        ("auto", "bfloat16", "cpu", "float32"),
        ("auto", "float16", "cpu", "float32"),
        ("auto", "float32", "cpu", "float32"),
        ("auto", "bfloat16", "cuda:1", "bfloat16"),
        ("bfloat16", "bfloat16", "cpu", "bfloat16"),
        ("float16", "float32", "cpu", "float16"),
    ],
)
def test_a_type_without_hardware_is_run_in_float32_unless_asked_for(
    asked: str, own: str, device: str, chosen: str
) -> None:
    found = dtype_to_run(asked, own, device=device, slowdown=lambda _dtype: 6.0)
    assert found.name == chosen
    assert found.why


def test_a_type_with_hardware_is_run_as_it_is_and_the_reason_is_told() -> None:
    fast = dtype_to_run("auto", "bfloat16", device="cpu", slowdown=lambda _dtype: 0.9)
    assert fast.name == "bfloat16"
    slow = dtype_to_run("auto", "bfloat16", device="cpu", slowdown=lambda _dtype: 6.04)
    assert slow.why == "this processor takes 6.0 times as long in bfloat16"


@pytest.mark.usefixtures("slow")
def test_the_models_and_their_rows_are_of_the_chosen_type() -> None:
    assert kept_dtype("bfloat16", "bfloat16") == "auto"
    with models_of(
        "demo", [], revision=None, device="cpu", dtype="auto", calibrations=None, fitted=None
    ) as models:
        assert models.source.dtype == torch.float32
    (row,) = evaluate_plans("demo", [], Benchmark(text="demo", limit=3), device="cpu")
    assert row.dtype == "float32"
    (own,) = evaluate_plans(
        "demo", [], Benchmark(text="demo", limit=3), device="cpu", dtype="bfloat16"
    )
    assert own.dtype == "auto"


def test_a_processor_is_timed() -> None:
    assert 0.01 < really_measured("bfloat16") < 1000
