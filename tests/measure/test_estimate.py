"""What measuring takes before it starts: tokens, time and memory, and what they grow with."""

from dataclasses import replace

import pytest
from transformers import AutoConfig, AutoTokenizer

from qcqa.measure.benchmark import Benchmark, DecodeLoad
from qcqa.measure.estimate import Workload, demo_tokens, estimate_evaluation, estimate_generation
from qcqa.measure.parts import TextPart
from qcqa.model.dtype import ChosenDtype
from qcqa.model.inspect import inspect_model
from qcqa.packaged import demo_model_folder

TEXT = Benchmark(text="demo")


@pytest.fixture
def work() -> Workload:
    return Workload(
        inspect_model("demo"),
        num_plans=2,
        has_source=True,
        num_fitted=0,
        dtype=ChosenDtype("bfloat16", "own"),
    )


@pytest.mark.parametrize("limit", [None, 40])
def test_the_stories_are_about_as_many_tokens_as_are_read(limit: int | None) -> None:
    folder = demo_model_folder()
    part = TextPart("demo", Benchmark(text="demo", limit=limit))
    read = part.require_readable(
        AutoConfig.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    )
    assert demo_tokens(limit) == pytest.approx(read, rel=0.2)


def test_time_grows_with_models_tokens_and_a_slow_type(work: Workload) -> None:
    few = estimate_evaluation(work, TEXT, tokens=10_000_000)
    assert few.models == 3
    assert few.tokens == 10_000_000
    assert few.low < few.seconds < few.high
    for more in (
        estimate_evaluation(work, TEXT, tokens=20_000_000),
        estimate_evaluation(replace(work, num_plans=9), TEXT, tokens=10_000_000),
        estimate_evaluation(replace(work, slowdown=6.0), TEXT, tokens=10_000_000),
        estimate_evaluation(replace(work, num_fitted=2), TEXT, tokens=10_000_000),
    ):
        assert more.seconds > few.seconds + 10


def test_pieces_take_longer_the_longer_the_windows(work: Workload) -> None:
    def seconds(benchmark: Benchmark, num_in_pieces: int) -> float:
        asked = replace(work, num_in_pieces=num_in_pieces)
        return estimate_evaluation(asked, benchmark, tokens=10_000_000).seconds

    reading = work.read_seconds(10_000_000)
    own = Benchmark(text="/some/text.txt")
    for benchmark, factor in (
        (TEXT, 1.5),
        (replace(own, window_tokens=512), 1.95),
        (own, 3.9),
    ):
        longer = seconds(benchmark, 2) - seconds(benchmark, 0)
        assert longer == pytest.approx(2 * (factor - 1) * reading, rel=0.05)


def test_pieces_keep_a_cache_in_memory(work: Workload) -> None:
    large = replace(work, num_in_pieces=1)
    grown, whole = (
        estimate_evaluation(one, TEXT, tokens=1000).memory_bytes for one in (large, work)
    )
    assert grown - whole == work.batch_tokens * work.model.spec.kv_bytes_per_token() + 2 * (
        work.model.spec.kv_bytes_per_token()
    )
    # Where no text is read there is no such cache.
    speed = Benchmark(speed=DecodeLoad(8, 1, 8))
    assert estimate_evaluation(large, speed, tokens=0) == estimate_evaluation(work, speed, tokens=0)


def test_memory_follows_the_type_the_second_attention_and_the_load(work: Workload) -> None:
    short = estimate_evaluation(work, TEXT, tokens=1000)
    in_float32 = replace(work, dtype=ChosenDtype("float32", ""))
    weights = work.model.num_weights
    grown = estimate_evaluation(in_float32, TEXT, tokens=1000).memory_bytes - short.memory_bytes
    assert grown > 2 * weights
    alone = estimate_evaluation(replace(work, num_plans=0), TEXT, tokens=1000)
    assert alone.memory_bytes < short.memory_bytes
    load = DecodeLoad(4096, 64, 16)
    speed = estimate_evaluation(work, Benchmark(speed=load), tokens=0)
    assert speed.memory_bytes > 64 * 4112 * work.model.spec.kv_bytes_per_token()
    assert speed.tokens >= 10 * 64 * 4112


def test_a_generation_takes_longer_with_more_tokens(work: Workload) -> None:
    few = estimate_generation(work, prompt_tokens=10, new_tokens=16)
    many = estimate_generation(work, prompt_tokens=10, new_tokens=1600)
    assert few.tokens == 26
    assert many.seconds > few.seconds
