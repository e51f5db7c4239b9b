"""Sizes of a cache in three units."""

import pytest

from qcqa.charts.common.kv_axis import KvAxis, KvUnit, significant, size_text
from qcqa.plan.budget import CacheLoad
from qcqa.search.result import SearchResult

#: Bits per token of one head of the model: 4 elements of 16 bits.
HEAD = 64


@pytest.mark.parametrize(
    ("unit", "full"),
    # 48 heads of 4 elements of 2 bytes, for 4096 tokens of 2 sequences.
    [("percent", 100.0), ("kib", 48 * 8 / 1024), ("gib", 48 * 8 * 4096 * 2 / 2**30)],
)
def test_axis_spans_the_source(
    result: SearchResult, load: CacheLoad, unit: KvUnit, full: float
) -> None:
    axis = KvAxis(result.spec, load, unit)
    assert axis.full == pytest.approx(full)
    assert axis.of(24 * HEAD) == pytest.approx(full / 2)
    assert axis.of_array([0, 48 * HEAD]) == pytest.approx([0, full])


def test_dtype_of_the_cache_counts(result: SearchResult) -> None:
    half = KvAxis(result.spec, CacheLoad(4096, 1, "bfloat16"), "gib")
    byte = KvAxis(result.spec, CacheLoad(4096, 1, "int8"), "gib")
    assert byte.full == pytest.approx(half.full / 2)


def test_numbers_are_written_for_people() -> None:
    assert significant(0) == "0"
    assert significant(0.01234) == "0.0123"
    assert significant(1.5) == "1.50"
    assert significant(0.5625) == "0.563"
    assert significant(2560) == "2,560"
    assert size_text(50, "percent") == "50.0 %"
    assert size_text(2, "gib") == "2.00 GiB"
