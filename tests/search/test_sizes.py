"""What plans take at a load: as their caches are counted, whatever the reduction."""

from dataclasses import replace
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from qcqa.charts.common.kv_axis import KvAxis
from qcqa.charts.fronts.comparison import comparison_table, points_at_budget
from qcqa.charts.fronts.pareto import pareto_figure
from qcqa.jobs.run import open_run
from qcqa.model.spec import DTYPE_BYTES
from qcqa.packaged import demo_run_folder
from qcqa.pick.plan import plan_of_result
from qcqa.pick.points import plan_of_point, points_at
from qcqa.plan.budget import GIB, CacheLoad, bits_within_gib
from qcqa.search.plans import best_plan
from qcqa.search.result import SearchResult

LOADS = [
    CacheLoad(tokens, batch, dtype)
    for tokens, batch in ((100, 1), (512, 1), (4096, 8), (131072, 2))
    for dtype in DTYPE_BYTES
]
METHODS = ["staircase", "bits-4", "heads-bits", "gqa"]


@pytest.fixture(scope="module")
def result() -> SearchResult:
    folder = demo_run_folder()
    assert folder is not None
    return open_run(folder).result()


def _bytes(result: SearchResult, method: str, load: CacheLoad, place: int) -> int:
    """Return what a front's plan takes, as its plan says."""
    front = result.fronts[method]
    plan = best_plan(replace(front, sizes=None), result.grams, int(front.cost[place]))
    return load.batch_size * plan.cache_bytes(load.context_tokens, dtype=load.dtype)


def _points(figure: go.Figure, method: str) -> list[list[Any]]:
    """Return what a chart says at the pointer of a method's plans, a row each."""
    rows = [
        row for trace in figure.data if trace.customdata is not None for row in trace.customdata
    ]
    return [list(row) for row in rows if row[0] == method]


@pytest.mark.parametrize("load", LOADS, ids=str)
@pytest.mark.parametrize("method", METHODS)
def test_sizes_on_the_axis_are_what_caches_take(
    result: SearchResult, method: str, load: CacheLoad
) -> None:
    front = result.at(load).fronts[method]
    axis, share = (KvAxis(result.spec, load, unit) for unit in ("gib", "percent"))
    source = load.cache_bytes(result.spec, result.spec.kv_bits)
    # To less than one bit for each token of a sequence.
    bit = source / result.spec.kv_bits
    for place in {0, len(front) // 3, len(front) - 1}:
        held = _bytes(result, method, load, place)
        size = int(front.size[place])
        # At the load of costs, which are rounded up for every site.
        most = 2 * result.spec.num_layers * bit if front.sizes is None else 0
        assert -most <= held - axis.of(size) * GIB < bit
        assert share.of(size) / 100 == pytest.approx(held / source, abs=(bit + most) / source)
        # In a type of one byte what is packed into 8 bits with its scales is larger than before.
        assert (size == front.cost[place]) or front.has_codecs


@pytest.mark.parametrize("load", LOADS, ids=str)
def test_a_budget_in_gib_takes_the_best_plan_that_fits_at_its_load(
    result: SearchResult, load: CacheLoad
) -> None:
    here = result.at(load)
    front = here.fronts["heads-bits"]
    held = [_bytes(result, "heads-bits", load, place) for place in range(0, len(front), 37)]
    if here is result:  # costs are rounded up for every site
        held = [load.cache_bytes(result.spec, cost) for cost in front.cost[::37].tolist()]
    for size in (min(held), sorted(held)[len(held) // 2]):
        budget = bits_within_gib(result.spec, size / GIB, load)
        plan = plan_of_result(here, budget, method="heads-bits")
        taken = load.batch_size * plan.cache_bytes(load.context_tokens, dtype=load.dtype)
        one_bit = load.cache_bytes(result.spec, 1)
        assert taken < size + one_bit
        error = front.error[np.flatnonzero(front.cost == plan.kv_bits)[0]]
        better = front.error < error
        assert (front.size[better] > budget).all()
        # As a point of a job, which knows of no load, it is the same plan.
        (point,) = points_at(here, budget, methods=["heads-bits"])
        assert plan_of_point(result, point).digest == plan.digest


def test_bits_are_worth_less_in_short_texts_and_in_types_of_one_byte(result: SearchResult) -> None:
    def ratio(tokens: int, dtype: str) -> float:
        point = points_at_budget(result.at(CacheLoad(tokens, 1, dtype)), 10**9)["bits-4"]
        assert point is not None
        return point.kv_ratio

    # 4 bits and a scale's 1 of 16; all of a short text is in the window.
    assert ratio(2**20, "bfloat16") == pytest.approx(5 / 16, rel=1e-3)
    assert ratio(2**20, "float8_e4m3fn") == pytest.approx(5 / 8, rel=1e-3)
    assert ratio(32, "bfloat16") == 1
    assert ratio(100, "bfloat16") > ratio(4096, "bfloat16") > ratio(131072, "bfloat16")


def test_fronts_hold_no_plan_that_another_beats_at_the_load(result: SearchResult) -> None:
    load = CacheLoad(64, 1, "float8_e4m3fn")
    here = result.at(load)
    front = here.fronts["heads-bits"]
    kept = front.unbeaten
    assert 0 < len(kept) < len(front)
    assert (np.diff(front.size[kept]) > 0).all()
    assert (np.diff(front.error[kept]) < 0).all()
    for place in range(len(front)):
        other = front.within(int(front.size[place]))
        assert other in kept
        assert other >= place
    # At the load at which costs are counted none is beaten.
    assert len(result.fronts["heads-bits"].unbeaten) == len(front)
    axis = KvAxis(result.spec, load, "gib")
    drawn = _points(pareto_figure(here, axis, scale="loss"), "heads-bits")
    assert len(drawn) > 2
    assert {kv_bits for _, kv_bits, *_ in drawn} <= set(front.cost[kept].tolist())


def test_tables_and_hover_say_the_size_at_the_load(result: SearchResult) -> None:
    load = CacheLoad(131072, 4, "float8_e4m3fn")
    here = result.at(load)
    budget = result.spec.kv_bits // 2
    row = comparison_table(here, budget, load).loc["staircase"]
    place = int(np.flatnonzero(here.fronts["staircase"].cost == row["bits per token"])[0])
    gib = _bytes(result, "staircase", load, place) / GIB
    assert row["cache, GiB"] == pytest.approx(gib, rel=1e-4)
    assert row["KiB per token"] == pytest.approx(gib * 2**20 / (131072 * 4), rel=1e-4)
    drawn = _points(pareto_figure(here, KvAxis(result.spec, load), scale="loss"), "staircase")
    (found,) = [one for one in drawn if one[1] == row["bits per token"]]
    assert found[3] == pytest.approx(gib, rel=1e-4)


def test_heads_alone_are_as_they_are_at_every_load(result: SearchResult) -> None:
    heads = replace(result, fronts={"gqa": result.fronts["gqa"], "best": result.fronts["best"]})
    assert heads.at(LOADS[0]) is heads
    assert result.at(LOADS[3]) is result.at(LOADS[3])
    # The load at which costs are counted.
    assert result.at(CacheLoad(4096, 8, result.spec.dtype)) is result
