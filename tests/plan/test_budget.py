from dataclasses import replace

import pytest

from qcqa.errors import BudgetError, SettingsError
from qcqa.plan.budget import (
    GIB,
    CacheLoad,
    bits_of_point,
    bits_within_gib,
    bits_within_ratio,
    ratio_of_bits,
)


def test_ratios_of_whole_numbers_of_heads_come_back(random_grams):
    spec = random_grams.spec
    for heads in range(1, spec.num_stored_heads + 1):
        found = bits_within_ratio(spec, heads / spec.num_stored_heads)
        assert found == heads * spec.head_bits
    assert bits_within_ratio(spec, 0.5) == 24 * spec.head_bits


@pytest.mark.parametrize(("layers", "heads"), [(1, 1), (3, 7), (32, 32), (80, 64)])
def test_a_ratio_that_is_written_down_keeps_every_head(random_grams, layers, heads):
    spec = replace(random_grams.spec, num_layers=layers, num_kv_heads=heads, num_query_heads=heads)
    full = spec.num_stored_heads
    for count in range(1, full + 1):
        ratio = ratio_of_bits(spec, count * spec.head_bits)
        again = float(f"{100 * ratio:.10g}") / 100
        assert bits_within_ratio(spec, again) == count * spec.head_bits
        assert count / full <= ratio + 1e-12 < (count + 0.01) / full + 1e-12
    with pytest.raises(BudgetError, match="0 bits per token"):
        ratio_of_bits(spec, 0)
    with pytest.raises(BudgetError, match="from 1 to"):
        ratio_of_bits(spec, spec.kv_bits + 1)


@pytest.mark.parametrize("head_dim", [4, 64, 128])
def test_a_ratio_that_is_written_down_tells_bits_of_an_element_apart(random_grams, head_dim):
    spec = replace(random_grams.spec, num_layers=32, num_kv_heads=8, head_dim=head_dim)
    for bits in range(head_dim, spec.kv_bits + 1, 97 * head_dim):
        found = bits_within_ratio(spec, float(f"{ratio_of_bits(spec, bits):.10g}"))
        assert bits <= found < bits + head_dim / 4


def test_budgets_of_older_releases_are_numbers_of_heads(random_grams):
    spec = random_grams.spec
    assert bits_of_point(spec, 1) == spec.head_bits
    assert bits_of_point(spec, spec.num_stored_heads) == spec.kv_bits
    for bits in (spec.num_stored_heads + 1, 24 * spec.head_bits, spec.kv_bits):
        assert bits_of_point(spec, bits) == bits


@pytest.mark.parametrize("ratio", [0, -0.1, 1.01, float("nan")])
def test_a_ratio_out_of_range_is_refused(ratio, random_grams):
    with pytest.raises(BudgetError, match="KV ratio"):
        bits_within_ratio(random_grams.spec, ratio)


def test_gib_and_bits_agree(random_grams):
    spec = random_grams.spec
    load = CacheLoad(context_tokens=4096, batch_size=3, dtype="float16")
    for bits in range(1, spec.kv_bits + 1):
        assert bits_within_gib(spec, load.cache_gib(spec, bits), load) == bits
    # 4 elements of 2 bytes a head
    five = 5 * spec.head_bits
    assert load.cache_bytes(spec, five) == 5 * 4 * 2 * 4096 * 3
    assert load.cache_gib(spec, five) == load.cache_bytes(spec, five) / GIB
    assert bits_within_gib(spec, 1000, load) == spec.kv_bits


def test_a_smaller_type_lets_more_heads_in(random_grams):
    spec = random_grams.spec
    full = CacheLoad(context_tokens=100_000, batch_size=8, dtype="float32")
    quarter = CacheLoad(context_tokens=100_000, batch_size=8, dtype="int8")
    gib = full.cache_gib(spec, 10 * spec.head_bits)
    assert bits_within_gib(spec, gib, full) == 10 * spec.head_bits
    assert bits_within_gib(spec, gib, quarter) == 40 * spec.head_bits


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
