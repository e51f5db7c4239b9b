"""Cache bytes against the formula, and times of models that take turns."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from transformers import DynamicCache, MistralConfig, MistralForCausalLM, PreTrainedModel

from qcqa import Plan
from qcqa.conversion.live import convert
from qcqa.errors import EvaluationError
from qcqa.measure.benchmark import DecodeLoad
from qcqa.measure.cache_bytes import cache_bytes, cache_bytes_per_token
from qcqa.measure.speed import measure_decode_speed
from qcqa.plan.metric import metric_of
from qcqa.progress import Progress

LOAD = DecodeLoad(context_tokens=11, batch_size=3, new_tokens=4)


@pytest.mark.parametrize(("family", "heads"), [("llama", 6), ("llama-gqa", 2), ("gpt2", 6)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_live_cache_has_the_bytes_of_the_formula(
    make_model: Callable[..., PreTrainedModel], family: str, heads: int, dtype: torch.dtype
) -> None:
    model = make_model(family).to(dtype)
    speed = measure_decode_speed({"source": model}, LOAD, rounds=1, warmup_rounds=0)["source"]
    layers, head_dim = 2, 4
    per_token = 2 * layers * heads * head_dim * dtype.itemsize
    assert speed.cache_bytes == per_token * LOAD.context_tokens * LOAD.batch_size
    assert cache_bytes_per_token(model) == per_token


@pytest.mark.parametrize("window", [2, 4, 9, 20])
def test_a_sliding_window_holds_as_much_per_token(window: int) -> None:
    config = MistralConfig(
        vocab_size=30,
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=2,
        sliding_window=window,
    )
    assert cache_bytes_per_token(MistralForCausalLM(config)) == 2 * 2 * 2 * 4 * 4


def test_a_converted_model_caches_its_plans_bytes_though_layers_differ(
    model: PreTrainedModel, unequal_plan: Callable[[Path], Plan], tmp_path: Path
) -> None:
    model.save_pretrained(tmp_path)
    plan = unequal_plan(tmp_path)
    converted = convert(deepcopy(model), plan)
    found = measure_decode_speed({"source": model, "converted": converted}, LOAD, rounds=2)
    tokens = LOAD.context_tokens * LOAD.batch_size
    assert found["converted"].cache_bytes == plan.kv_bytes_per_token * tokens
    ratio = found["converted"].compared_with(found["source"])[-1]
    assert ratio.metric.endswith("/cache_ratio")
    assert ratio.value == pytest.approx(plan.kv_ratio) == pytest.approx(11 / 24)


def test_memory_that_is_held_counts_once_and_in_full() -> None:
    cache = DynamicCache()
    states = torch.zeros(1, 2, 10, 4)
    cache.update(states, states.clone(), 0)
    cache.crop(-6)
    # A view of what is still held.
    assert cache_bytes(cache) == 2 * states.nbytes
    cache.layers[0].values = cache.layers[0].keys
    assert cache_bytes(cache) == states.nbytes
    with pytest.raises(EvaluationError, match="without keys and values"):
        cache_bytes(DynamicCache())


def test_models_take_turns_and_the_first_goes_round(
    make_model: Callable[..., PreTrainedModel],
) -> None:
    models = {name: make_model("llama", seed) for seed, name in enumerate(("one", "two"))}
    order: list[str] = []
    for name, model in models.items():
        model.register_forward_pre_hook(
            lambda _model, _args, kwargs, name=name: (
                order.append(name) if kwargs["input_ids"].shape[1] > 1 else None
            ),
            with_kwargs=True,
        )
    seen: list[Progress] = []
    found = measure_decode_speed(models, LOAD, rounds=3, warmup_rounds=1, on_progress=seen.append)
    assert order == ["one", "two", "two", "one"] * 2
    assert len(found["one"].rounds) == 3
    assert (seen[0].step, seen[-1].step, seen[-1].total) == (1, 8, 8)
    assert not any(hasattr(model, "training") and not model.training for model in models.values())


def test_times_become_measurements_with_a_direction(model: PreTrainedModel) -> None:
    found = measure_decode_speed({"one": model, "same": model}, LOAD, rounds=5)
    figures = {one.metric.rpartition("/")[2]: one for one in found["one"].measurements()}
    # There is no peak where the device does not tell.
    assert set(figures) == {
        "prefill_seconds", "seconds_per_token", "tokens_per_second", "cache_bytes",
    }  # fmt: skip
    per_token = figures["seconds_per_token"]
    assert per_token.value > 0
    assert per_token.sample_count == 5
    spread = found["one"].seconds_per_token
    assert spread.lower_quartile <= per_token.value <= spread.upper_quartile
    rate = figures["tokens_per_second"].value
    assert rate == pytest.approx(LOAD.batch_size / per_token.value, rel=1e-6)
    assert all(metric_of(one).higher_is_better is not None for one in figures.values())
    speedup = found["same"].compared_with(found["one"])[1]
    assert 0.2 < speedup.value < 5


def test_loads_that_cannot_be_measured_are_refused(model: PreTrainedModel) -> None:
    with pytest.raises(EvaluationError, match="at most 64 together"):
        measure_decode_speed({"source": model}, DecodeLoad(60, new_tokens=5))
    with pytest.raises(EvaluationError, match="batch_size = 0"):
        DecodeLoad(60, batch_size=0)
    with pytest.raises(EvaluationError, match="0 models"):
        measure_decode_speed({}, LOAD)
    one = measure_decode_speed({"one": model}, LOAD, rounds=1, warmup_rounds=0)["one"]
    two = measure_decode_speed({"one": model}, LOAD, rounds=2, warmup_rounds=0)["one"]
    with pytest.raises(EvaluationError, match="measured together"):
        one.compared_with(two)


def test_raising_from_progress_stops_the_measurement(model: PreTrainedModel) -> None:
    def cancel(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_decode_speed({"source": model}, LOAD, on_progress=cancel)
