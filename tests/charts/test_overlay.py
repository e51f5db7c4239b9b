"""Fronts of other runs are drawn where their figures mean the same, and only there."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from qcqa.charts.common.kv_axis import KvAxis
from qcqa.charts.fronts.overlay import OtherRun, measured_obstacle, predicted_obstacle
from qcqa.charts.fronts.pareto import pareto_figure
from qcqa.charts.quality.accuracy import accuracy_figure
from qcqa.measure.evaluation import Evaluation
from qcqa.plan.budget import CacheLoad
from qcqa.plan.plan import CalibrationText
from qcqa.search.result import SearchResult

#: Bits per token of one head of the model: 4 elements of 16 bits.
HEAD = 64

Measure = Callable[..., Evaluation]

ACCURACY = "heldout/accuracy"


def _traces(figure: Any) -> dict[str, Any]:
    return {trace.name: trace for trace in figure.data}


def _with_spec(result: SearchResult, **changes: Any) -> SearchResult:
    spec = replace(result.spec, **changes)
    larger = spec.head_bits // result.spec.head_bits
    fronts = {
        name: replace(
            front, layers=tuple(replace(one, cost=larger * one.cost) for one in front.layers)
        )
        for name, front in result.fronts.items()
    }
    return replace(result, grams=replace(result.grams, spec=spec, fingerprint="x"), fronts=fronts)


@pytest.mark.parametrize("log", [False, True])
def test_front_of_another_run_lies_on_its_own_sizes(
    result: SearchResult, load: CacheLoad, log: bool
) -> None:
    # As if each head were twice as large: the same shares.
    other = OtherRun("Other", _with_spec(result, head_dim=8))
    axis = KvAxis(result.spec, load)
    figure = pareto_figure(result, axis, others=[other], selected=("gqa", 24 * HEAD), log=log)
    drawn, own = _traces(figure)["Other, GQA"], _traces(figure)["GQA"]
    assert np.allclose(drawn.x, own.x)
    assert np.allclose(drawn.y, own.y)
    # A click on it selects nothing: its plans are another run's.
    assert drawn.customdata is None
    in_gib = pareto_figure(result, KvAxis(result.spec, load, "gib"), others=[other])
    assert not any(name.startswith("Other") for name in _traces(in_gib))


def test_what_is_not_comparable_is_told(
    result: SearchResult, with_best: SearchResult, load: CacheLoad
) -> None:
    axis, gib = KvAxis(result.spec, load), KvAxis(result.spec, load, "gib")
    same, larger = OtherRun("Same", result), OtherRun("Larger", _with_spec(result, head_dim=8))
    assert predicted_obstacle(same, result, gib, "absolute") is None
    assert predicted_obstacle(larger, result, axis, "relative") is None
    assert predicted_obstacle(larger, result, axis, "gap") is None
    assert "another size" in str(predicted_obstacle(larger, result, gib, "relative"))
    assert "other weights" in str(predicted_obstacle(larger, result, axis, "absolute"))
    assert "no front" in str(predicted_obstacle(same, with_best, axis, "loss"))
    best = OtherRun("Best", with_best)
    assert predicted_obstacle(best, with_best, axis, "loss") is None
    told = replace(with_best, calibration=CalibrationText("other.txt", "0", 1, 1))
    assert "another text" in str(predicted_obstacle(OtherRun("T", told), with_best, axis, "loss"))


def test_run_without_the_method_shows_its_best(result: SearchResult, load: CacheLoad) -> None:
    fronts = {name: result.fronts[name] for name in ("mha", "optimal")}
    other = OtherRun("A run with a very long name indeed", replace(result, fronts=fronts))
    figure = pareto_figure(
        result, KvAxis(result.spec, load), others=[other], selected=("gqa", 24 * HEAD)
    )
    (name,) = [name for name in _traces(figure) if "\N{HORIZONTAL ELLIPSIS}" in str(name)]
    assert name.endswith(", Optimal")
    assert len(name) < 40


def test_measured_figures_are_joined_to_those_of_the_same_conditions(
    result: SearchResult, load: CacheLoad, measure: Measure
) -> None:
    axis = KvAxis(result.spec, load)
    rows = [measure(accuracy=0.6), measure("gqa", 24, accuracy=0.4)]
    others = [
        OtherRun("Same", result, (measure("gqa", 24, accuracy=0.1), measure("gqa", 12))),
        OtherRun("Fewer", result, (measure("gqa", 24, limit=5),)),
        OtherRun("Nothing", result),
    ]
    reasons = [measured_obstacle(other, rows, axis, ACCURACY) for other in others]
    assert reasons[0] is None
    assert "other samples" in str(reasons[1])
    assert "not measured" in str(reasons[2])
    figure = accuracy_figure(rows, ACCURACY, axis, others=others)
    traces = _traces(figure)
    assert set(traces) == {"MHA", "GQA", "Same, GQA"}
    assert list(traces["Same, GQA"].x) == [25, 50]
    assert figure.layout.yaxis.range[0] < 0.1
