"""What a measurement of layers takes, before it starts."""

from dataclasses import replace
from pathlib import Path

from qcqa.runs.run import open_run
from qcqa.sensitivity import LayerEffect, LayerSensitivity, SensitivitySettings, num_passes
from qcqa.use_cases.inspect import inspect_model
from qcqa.use_cases.plan import plan_of_result
from qcqa.use_cases.sensitivity_needs import sensitivity_needs


def test_every_layer_costs_what_is_behind_it(searched_demo: Path) -> None:
    plan = plan_of_result(open_run(searched_demo).result(), 48, method="gqa")
    assert num_passes(plan) == 2 + (6 + 5 + 4 + 3 + 2 + 1) / 6


def test_time_grows_with_tokens_and_memory_with_the_vocabulary(searched_demo: Path) -> None:
    plan = plan_of_result(open_run(searched_demo).result(), 48, method="gqa")
    model = inspect_model("demo")
    few, many = (sensitivity_needs(model, plan, tokens) for tokens in (10_000, 10_000_000))
    assert few.seconds < many.seconds
    assert few.memory_bytes == many.memory_bytes
    large = sensitivity_needs(replace(model, vocab_size=150_000), plan, 10_000)
    assert 2**28 < large.memory_bytes - few.memory_bytes < 2**31


def test_what_was_measured_here_counts_for_more_than_a_guess(searched_demo: Path) -> None:
    plan = plan_of_result(open_run(searched_demo).result(), 48, method="gqa")
    model = inspect_model("demo")
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
    needs = sensitivity_needs(model, plan, 4000, before=before)
    assert 1000 <= needs.seconds < 1010
