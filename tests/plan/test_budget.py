from dataclasses import replace

import pytest

from qcqa.errors import BudgetError, SettingsError
from qcqa.plan.budget import GIB, CacheLoad, bits_within_gib, bits_within_ratio, ratio_of_bits


def test_ratios_of_whole_numbers_of_heads_come_back(random_grams):
    spec = random_grams.spec
    for heads in range(1, spec.kv_bits + 1):
        assert bits_within_ratio(spec, heads / spec.kv_bits) == heads
    assert bits_within_ratio(spec, 0.5) == 24


@pytest.mark.parametrize(("layers", "heads"), [(1, 1), (3, 7), (32, 32), (80, 64)])
def test_a_ratio_that_is_written_down_keeps_every_head(random_grams, layers, heads):
    spec = replace(random_grams.spec, num_layers=layers, num_kv_heads=heads, num_query_heads=heads)
    full = spec.kv_bits
    for count in range(1, full + 1):
        ratio = ratio_of_bits(spec, count)
        assert bits_within_ratio(spec, float(f"{100 * ratio:.10g}") / 100) == count
        assert count / full <= ratio + 1e-12 < (count + 0.01) / full + 1e-12
    with pytest.raises(BudgetError, match="0 cached heads"):
        ratio_of_bits(spec, 0)
    with pytest.raises(BudgetError, match="from 1 to"):
        ratio_of_bits(spec, full + 1)


@pytest.mark.parametrize("ratio", [0, -0.1, 1.01, float("nan")])
def test_a_ratio_out_of_range_is_refused(ratio, random_grams):
    with pytest.raises(BudgetError, match="KV ratio"):
        bits_within_ratio(random_grams.spec, ratio)


def test_gib_and_heads_agree(random_grams):
    spec = random_grams.spec
    load = CacheLoad(context_tokens=4096, batch_size=3, dtype="float16")
    for heads in range(1, spec.kv_bits + 1):
        assert bits_within_gib(spec, load.cache_gib(spec, heads), load) == heads
    # 4 elements of 2 bytes a head
    assert load.cache_bytes(spec, 5) == 5 * 4 * 2 * 4096 * 3
    assert load.cache_gib(spec, 5) == load.cache_bytes(spec, 5) / GIB
    assert bits_within_gib(spec, 1000, load) == spec.kv_bits


def test_a_smaller_type_lets_more_heads_in(random_grams):
    spec = random_grams.spec
    full = CacheLoad(context_tokens=100_000, batch_size=8, dtype="float32")
    quarter = CacheLoad(context_tokens=100_000, batch_size=8, dtype="int8")
    gib = full.cache_gib(spec, 10)
    assert bits_within_gib(spec, gib, full) == 10
    assert bits_within_gib(spec, gib, quarter) == 40


def test_loads_that_make_no_sense_are_refused(random_grams):
    with pytest.raises(BudgetError, match="context_tokens = 0"):
        CacheLoad(context_tokens=0, batch_size=1, dtype="float16")
    with pytest.raises(BudgetError, match="batch_size"):
        CacheLoad(context_tokens=1, batch_size=0, dtype="float16")
    with pytest.raises(SettingsError, match="float1"):
        CacheLoad(context_tokens=1, batch_size=1, dtype="float1")
    load = CacheLoad(context_tokens=1, batch_size=1, dtype="float16")
    with pytest.raises(BudgetError, match="above 0"):
        bits_within_gib(random_grams.spec, 0, load)
