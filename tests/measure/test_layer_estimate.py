"""What a measurement of layers takes, before it starts."""

from dataclasses import replace
from pathlib import Path

import pytest

from qcqa.jobs.run import open_run
from qcqa.measure.estimate import Workload
from qcqa.measure.layer_estimate import estimate_sensitivity
from qcqa.measure.sensitivity import (
    LayerEffect,
    LayerSensitivity,
    SensitivitySettings,
    TextAmount,
    num_passes,
)
from qcqa.model.dtype import ChosenDtype
from qcqa.model.inspect import inspect_model
from qcqa.pick.plan import plan_of_result
from qcqa.plan.plan import Plan

#: Bits per token of one head of the demo model: 32 elements of 16 bits.
HEAD = 512

TEXT = TextAmount(num_windows=16, num_tokens=4000, window_tokens=256)


@pytest.fixture
def plan(searched_demo: Path) -> Plan:
    return plan_of_result(open_run(searched_demo).result(), 48 * HEAD, method="gqa")


@pytest.fixture
def work() -> Workload:
    return Workload(
        inspect_model("demo"),
        num_plans=1,
        has_source=True,
        num_fitted=0,
        dtype=ChosenDtype("bfloat16", "own"),
    )


def test_every_layer_costs_what_is_behind_it(plan: Plan) -> None:
    assert num_passes(plan) == 2 + (6 + 5 + 4 + 3 + 2 + 1) / 6


def test_time_grows_with_tokens_and_memory_with_the_vocabulary(plan: Plan, work: Workload) -> None:
    few = estimate_sensitivity(work, plan, TEXT)
    many = estimate_sensitivity(work, plan, replace(TEXT, num_tokens=10_000_000))
    assert (few.models, few.tokens) == (7, 4000)
    assert few.seconds < many.seconds
    assert few.memory_bytes == many.memory_bytes
    many_words = replace(work, model=replace(work.model, vocab_size=150_000))
    large = estimate_sensitivity(many_words, plan, TEXT)
    assert 2**28 < large.memory_bytes - few.memory_bytes < 2**31
    unknown = replace(work, model=replace(work.model, vocab_size=None))
    assert estimate_sensitivity(unknown, plan, TEXT).memory_bytes > few.memory_bytes
    # A window is read whole.
    long = estimate_sensitivity(many_words, plan, replace(TEXT, window_tokens=8192))
    assert long.memory_bytes > 2 * 2 * 8192 * 150_000


def test_memory_is_of_the_type_in_which_the_models_run(plan: Plan, work: Workload) -> None:
    in_float32 = replace(work, dtype=ChosenDtype("float32", "this processor is slow in bfloat16"))
    # So large that nothing but its weights counts.
    own, other = (
        estimate_sensitivity(replace(one, model=replace(one.model, num_weights=10**12)), plan, TEXT)
        for one in (work, in_float32)
    )
    assert other.memory_bytes == pytest.approx(2 * own.memory_bytes, rel=0.01)
    assert other.dtype == in_float32.dtype


def test_a_plan_that_is_fitted_first_takes_longer_and_more_memory(
    plan: Plan, work: Workload
) -> None:
    kept = estimate_sensitivity(work, plan, TEXT)
    fitted = estimate_sensitivity(replace(work, num_fitted=1), plan, TEXT)
    assert fitted.seconds > kept.seconds
    assert fitted.memory_bytes > kept.memory_bytes


def test_what_was_measured_here_counts_for_more_than_a_guess(plan: Plan, work: Workload) -> None:
    before = LayerSensitivity(
        method="gqa",
        kv_ratio=0.5,
        plan_digest=plan.digest,
        settings=SensitivitySettings("demo"),
        window_tokens=256,
        num_windows=16,
        num_tokens=2000,
        device="cpu",
        dtype="bfloat16",
        seconds=500.0,
        token_passes=2000 * num_passes(plan),
        finished="2026-11-27T10:00:00+00:00",
        layers=(LayerEffect(is_measured=True, kl=0.1, same_top=0.9),) * 6,
    )
    estimate = estimate_sensitivity(work, plan, TEXT, before=before)
    assert 1000 <= estimate.seconds < 1010
    assert estimate.timed_jobs == 1
