"""How long searches take is foretold in the right proportion; the benchmark checks the seconds."""

import os
from dataclasses import replace

import numpy as np
import pytest

from qcqa.model.inspect import ModelReport, inspect_model
from qcqa.reduce.bits.choice import Bits
from qcqa.reduce.candidates import Slot
from qcqa.reduce.registry import REDUCTIONS, Reduction
from qcqa.search import estimate, method_seconds
from qcqa.search.estimate import TimeEstimate, estimate_time, searched_seconds
from qcqa.search.methods import METHODS
from qcqa.search.preflight import machine_memory_bytes, preflight
from qcqa.search.presets import PRESETS
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.cost import (
    arbitrary_seconds,
    choice_seconds,
    equal_seconds,
    optimal_seconds,
)
from qcqa.search.strategy.optimal import optimal_candidates
from qcqa.search.strategy.options import ExactOptions, TwoStageOptions
from qcqa.search.strategy.problem import wse_problem
from qcqa.search.strategy.rescoring import most_measured, worth_measuring
from qcqa.text.calibration_windows import DEFAULT_TOKENS

QUICK = TwoStageOptions(population_size=40, generations=30)
THOROUGH = TwoStageOptions(population_size=200, generations=300)


@pytest.fixture
def demo() -> ModelReport:
    return inspect_model("demo")


def _of(time: TimeEstimate) -> dict[str, float]:
    return {part.name: part.seconds for part in time.parts}


@pytest.mark.parametrize("seconds", [arbitrary_seconds, equal_seconds])
def test_stage_one_grows_with_heads_and_effort(seconds):
    assert seconds(32, QUICK) < seconds(32, THOROUGH)
    assert seconds(32, QUICK) < seconds(128, QUICK)
    # All 15 groupings of 4 heads are soon tried, however long the search may go on.
    assert seconds(4, THOROUGH) == pytest.approx(
        seconds(4, THOROUGH.model_copy(update={"generations": 1000}))
    )


def test_local_search_and_stage_two_grow_with_their_settings():
    usual, none, many = (ExactOptions(restarts=restarts) for restarts in (12, 0, 99))
    assert optimal_seconds(64, usual) > 4 * optimal_seconds(32, usual)
    assert optimal_seconds(32, none) < optimal_seconds(32, usual)
    assert optimal_seconds(32, usual) < optimal_seconds(32, usual, fitness="output-error")
    # Few heads are solved exactly: restarts count nothing.
    assert optimal_seconds(8, many) == optimal_seconds(8, usual)
    twice = TwoStageOptions(stage2_generations=1000)
    assert choice_seconds(twice) == pytest.approx(2 * choice_seconds(TwoStageOptions()))


def test_estimate_has_a_part_for_all_that_is_done(demo):
    time = estimate_time(demo, methods=PRESETS["best"].methods, settings=SearchSettings())
    assert list(_of(time)) == [
        "start",
        "read",
        "calibration",
        "bound",
        "optimal",
        "qcqa-ac",
        "qcqa-ec",
        "best",
        # A staircase has nothing to measure that is not known by then.
        "bits-8",
        "bits-4",
        "bits-2",
        "bits",
        "heads-bits",
    ]
    assert time.low < time.seconds < time.high
    # Running the model is what takes long, and what is least certain.
    assert _of(time)["best"] > 0.3 * time.seconds
    by_weights = estimate_time(demo, methods=PRESETS["paper"].methods, settings=SearchSettings())
    assert time.high / time.low > by_weights.high / by_weights.low


def test_what_any_reduction_measures_is_counted_once(demo, monkeypatch):
    monkeypatch.setitem(
        REDUCTIONS,
        "new",
        Reduction("new", "new", Bits, lambda *_: [Bits(((8, None),), group=64, block=64)]),
    )
    monkeypatch.setitem(METHODS, "new", replace(METHODS["bits"], name="new", reductions=("new",)))

    def seconds(*methods: str) -> dict[str, float]:
        return _of(estimate_time(demo, methods=methods, settings=SearchSettings()))

    one = seconds("bits-4")["bits-4"]
    assert one > 0
    assert seconds("new")["new"] == pytest.approx(one)
    # Its three rungs; then only the oldest is new, and of four widths the last.
    assert seconds("staircase")["staircase"] == pytest.approx(3 * one)
    several = seconds("bits-8", "bits-4", "staircase", "bits", "new")
    for name in ("bits-8", "bits-4", "staircase", "bits", "new"):
        assert several[name] == pytest.approx(one)
    heads = seconds("best", "heads-bits")["heads-bits"]
    assert heads - seconds("best", "bits", "heads-bits")["heads-bits"] == pytest.approx(4 * one)


def test_a_short_text_makes_a_short_search(demo, tmp_path):
    short, long = tmp_path / "short.txt", tmp_path / "long.txt"
    short.write_text("word " * 3_000)
    long.write_text("word " * 300_000)

    def parts(calibration: str | None) -> dict[str, float]:
        methods = PRESETS["best"].methods
        return _of(
            estimate_time(demo, methods=methods, settings=SearchSettings(), calibration=calibration)
        )

    assert parts(str(long)) == parts("demo") == parts(None)
    few, many = parts(str(short)), parts(str(long))
    assert few["calibration"] < many["calibration"] / 5
    assert few["best"] < many["best"]
    assert few["optimal"] == many["optimal"]


def test_processes_share_the_layers(demo, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    settings = {n: SearchSettings(two_stage=THOROUGH, workers=n) for n in (1, 2)}
    alone, two = (
        _of(estimate_time(demo, methods=("qcqa-ac",), settings=s))["qcqa-ac"]
        for s in settings.values()
    )
    assert two < alone < 2 * two


def test_progress_is_shared_by_the_same_numbers(demo):
    methods = ("mha", "optimal", "qcqa-ac", "best")
    shares = searched_seconds(demo.spec, methods, SearchSettings())
    assert list(shares) == list(methods)
    assert shares["mha"] == 0
    assert shares["best"] > shares["qcqa-ac"] > 0


def test_other_work_on_the_machine_makes_it_longer(demo, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    time = estimate_time(demo, methods=("qcqa-ac",), settings=SearchSettings())
    monkeypatch.setattr(estimate.os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    quiet = time.on_this_machine()
    assert (quiet.seconds, quiet.is_busy) == (time.seconds, False)
    slow = time.on_this_machine(2.0, timed_runs=3)
    assert (slow.seconds, slow.is_busy, slow.timed_runs) == (2 * time.seconds, False, 3)
    monkeypatch.setattr(estimate.os, "getloadavg", lambda: (7.0, 0.0, 0.0))
    busy = time.on_this_machine(2.0, timed_runs=3)
    assert (busy.seconds, busy.is_busy) == (4 * time.seconds, True)


def test_preflight_says_what_is_too_much(demo, monkeypatch, tmp_path):
    paper, best = (
        preflight(
            demo, methods=PRESETS[n].methods, settings=SearchSettings(), folder=tmp_path / "x"
        )
        for n in ("paper", "best")
    )
    assert not paper.warnings
    assert paper.memory_bytes < best.memory_bytes
    assert paper.disk_bytes < best.disk_bytes
    there = machine_memory_bytes()
    assert there is not None
    assert there > 2**28
    monkeypatch.setattr("qcqa.search.preflight.machine_memory_bytes", lambda: 2**20)
    (warning,) = preflight(demo, methods=("best",), settings=SearchSettings()).warnings
    assert "needs about " in warning
    assert "this machine has 1 MiB" in warning


def test_weights_of_the_demo_are_counted(demo):
    spec = demo.spec
    per_layer = 4 * spec.hidden_size**2 + 3 * spec.hidden_size * 512 + 2 * spec.hidden_size
    assert demo.num_layer_weights == spec.num_layers * per_layer
    assert demo.num_weights == demo.num_layer_weights + 2240 * spec.hidden_size + spec.hidden_size
    assert demo.vocab_size == 2240


def test_numbers_of_the_calibration_are_those_that_it_has(random_grams):
    # Written down again in the estimate, which may not load torch.
    assert method_seconds.CALIBRATION_TOKENS == DEFAULT_TOKENS
    slot = Slot(0)
    objective = wse_problem(random_grams).objective(slot)
    found = optimal_candidates(objective, ExactOptions(), slot, np.random.default_rng(0))
    # The source's own heads are not measured.
    assert most_measured(random_grams.spec.num_kv_heads) == len(worth_measuring(found)) - 1
