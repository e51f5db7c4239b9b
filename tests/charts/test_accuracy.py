"""Accuracy fronts draw what was measured, and say what was not."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from qcqa.charts.common.estimate import estimates, spaced
from qcqa.charts.common.kv_axis import KvAxis, KvUnit
from qcqa.charts.quality.accuracy import accuracy_caption, accuracy_figure
from qcqa.charts.quality.accuracy_table import accuracy_table
from qcqa.measure.evaluation import Evaluation
from qcqa.plan.budget import CacheLoad
from qcqa.plan.plan import Measurement
from qcqa.search.result import SearchResult

#: Bits per token of one head of the model: 4 elements of 16 bits.
HEAD = 64

Measure = Callable[..., Evaluation]

ACCURACY, PERPLEXITY = "heldout/accuracy", "heldout/perplexity"


@pytest.fixture
def axis(result: SearchResult, load: CacheLoad) -> KvAxis:
    return KvAxis(result.spec, load)


@pytest.fixture
def rows(measure: Measure) -> list[Evaluation]:
    """Return the source, a method at three sizes, one at a single size, and another setting."""
    return [
        measure(accuracy=0.6, perplexity=5.0),
        measure("optimal", 36, accuracy=0.5, perplexity=9.0),
        measure("optimal", 24, accuracy=0.4, perplexity=20.0),
        measure("optimal", 12, accuracy=0.1, perplexity=900.0),
        measure("mqa", 6, accuracy=0.05, perplexity=5000.0),
        measure("gqa", 24, accuracy=0.99, limit=5),
    ]


def _traces(figure: Any) -> dict[str, Any]:
    return {trace.name: trace for trace in figure.data}


def _notes(figure: Any) -> str:
    return " ".join(note.text for note in figure.layout.annotations)


def test_measured_plans_lie_where_they_are_with_their_bars(
    rows: list[Evaluation], axis: KvAxis
) -> None:
    figure = accuracy_figure(rows, ACCURACY, axis, budget=0.5)
    traces = _traces(figure)
    # GQA was measured on other samples: it is not drawn among these.
    assert set(traces) == {"Optimal", "MQA", "MHA"}
    assert list(traces["Optimal"].x) == [25, 50, 75]
    assert list(traces["Optimal"].y) == [0.1, 0.4, 0.5]
    assert traces["Optimal"].error_y.array[1] == pytest.approx(0.0196)
    assert traces["MQA"].mode == "markers"
    assert "higher is better" in figure.layout.yaxis.title.text
    assert figure.layout.yaxis.tickformat == ".0%"
    assert "MHA, the source: 60.0 %" in _notes(figure)
    assert "budget 50.0 %" in _notes(figure)


def test_the_name_of_the_sources_line_is_where_no_plans_are(
    rows: list[Evaluation], axis: KvAxis
) -> None:
    """Below it where less is better: it once was written over the best plans of a perplexity."""
    for metric, side in ((ACCURACY, "bottom"), (PERPLEXITY, "top")):
        figure = accuracy_figure(rows, metric, axis)
        (note,) = [one for one in figure.layout.annotations if "the source" in one.text]
        assert note.yanchor == side
        low, high = figure.layout.yaxis.range
        # Such a share of the axis is higher than a line of text.
        room = high - note.y if side == "bottom" else note.y - low
        assert room > 0.1 * (high - low)


def test_no_line_passes_where_no_plan_is(
    rows: list[Evaluation], axis: KvAxis, result: SearchResult
) -> None:
    """A straight line from GQA's only plan to the source once lay above every other method."""
    for fronts in (None, result.fronts):
        traces = accuracy_figure(rows, ACCURACY, axis, fronts=fronts).data
        joined = [trace for trace in traces if "lines" in trace.mode]
        assert joined
        assert all(trace.line.shape == "hv" for trace in joined)


@pytest.mark.parametrize("unit", ["percent", "gib", "kib"])
def test_sizes_are_in_the_chosen_unit(
    rows: list[Evaluation], result: SearchResult, load: CacheLoad, unit: KvUnit
) -> None:
    axis = KvAxis(result.spec, load, unit)
    traces = _traces(accuracy_figure(rows, ACCURACY, axis))
    assert list(traces["MHA"].x) == [pytest.approx(axis.full)]


def test_bars_of_shares_stay_between_0_and_1(measure: Measure, axis: KvAxis) -> None:
    rows = [measure(accuracy=0.99, error=0.1), measure("gqa", 24, accuracy=0.01, error=0.1)]
    traces = _traces(accuracy_figure(rows, ACCURACY, axis))
    assert traces["MHA"].error_y.array[0] == pytest.approx(0.01)
    assert traces["GQA"].error_y.arrayminus[0] == pytest.approx(0.01)


def test_figures_over_decades_take_a_logarithmic_axis(rows: list[Evaluation], axis: KvAxis) -> None:
    figure = accuracy_figure(rows, PERPLEXITY, axis)
    assert figure.layout.yaxis.type == "log"
    assert "lower is better" in figure.layout.yaxis.title.text
    low, high = figure.layout.yaxis.range
    assert low < np.log10(5)
    assert high > np.log10(5000)
    (note,) = [note for note in figure.layout.annotations if "source" in note.text]
    assert note.y == pytest.approx(np.log10(5))


def test_a_front_that_ends_at_the_source_is_joined_to_it(
    rows: list[Evaluation], axis: KvAxis, result: SearchResult
) -> None:
    traces = _traces(accuracy_figure(rows, ACCURACY, axis, fronts=result.fronts))
    assert list(traces["Optimal"].x) == [25, 50, 75, 100]
    assert list(traces["MQA"].x) == [12.5]
    hollow = traces["Optimal, estimated"]
    assert hollow.marker.symbol.endswith("-open")
    assert traces["Optimal"].marker.opacity == 1
    assert all("estimated between measured plans" in text for text in hollow.text)
    assert min(hollow.x) > 25
    assert max(hollow.x) < 100
    assert not set(hollow.x) & {25, 50, 75}
    on_line = np.interp(hollow.x, [25, 50, 75, 100], [0.1, 0.4, 0.5, 0.6])
    assert np.allclose(hollow.y, on_line)
    assert len(traces["MQA, estimated"].x) == 0


def test_points_carry_their_plans_and_the_selected_one_has_a_ring(
    rows: list[Evaluation], axis: KvAxis, result: SearchResult
) -> None:
    def ring(plan: tuple[str, int]) -> Any:
        figure = accuracy_figure(rows, ACCURACY, axis, fronts=result.fronts, selected=plan)
        return _traces(figure).get("selected")

    traces = _traces(accuracy_figure(rows, ACCURACY, axis, fronts=result.fronts))
    assert [(method, bits // HEAD) for method, bits in traces["Optimal"].customdata] == [
        ("optimal", 12),
        ("optimal", 24),
        ("optimal", 36),
        ("mha", 48),
    ]
    hollow = traces["Optimal, estimated"]
    assert [bits / (48 * HEAD) * 100 for _, bits in hollow.customdata] == pytest.approx(
        list(hollow.x)
    )
    assert "heads kept of 8<br>L" in traces["Optimal"].text[1]
    assert "GiB at 4,096 tokens" in traces["Optimal"].text[1]
    assert "heads kept of 8<br>L" in hollow.text[0]
    selected = ring(("optimal", 24 * HEAD))
    assert (selected.x[0], selected.y[0]) == (50, 0.4)
    method, bits = hollow.customdata[0]
    assert ring((method, bits)).y[0] == pytest.approx(hollow.y[0])
    # Nobody knows where this one is.
    assert ring(("gqa", 12 * HEAD)) is None


def test_logarithmic_axis_is_refused_where_it_makes_no_sense(
    rows: list[Evaluation], axis: KvAxis
) -> None:
    assert accuracy_figure(rows, ACCURACY, axis, log=True).layout.yaxis.type == "linear"
    assert accuracy_figure(rows, PERPLEXITY, axis, log=False).layout.yaxis.type == "linear"
    assert accuracy_figure(rows[:2], PERPLEXITY, axis).layout.yaxis.type == "linear"
    assert accuracy_figure(rows[:2], PERPLEXITY, axis, log=True).layout.yaxis.type == "log"


def test_figures_that_are_no_numbers_are_left_out(measure: Measure, axis: KvAxis) -> None:
    rows = [measure(accuracy=float("nan")), measure("gqa", 24, accuracy=0.4)]
    assert set(_traces(accuracy_figure(rows, ACCURACY, axis))) == {"GQA"}
    # A chart without any point is still a chart.
    assert not accuracy_figure(rows[:1], ACCURACY, axis, budget=0.5).data
    assert not accuracy_figure([], ACCURACY, axis).data


def test_chance_is_drawn_where_it_is_known(measure: Measure, axis: KvAxis) -> None:
    row = measure(extra=(Measurement("piqa/acc", 0.8, 0.01, 50), Measurement("own/acc", 0.8)))
    assert "chance: 50.0 %" in _notes(accuracy_figure([row], "piqa/acc", axis))
    assert "chance" not in _notes(accuracy_figure([row], "own/acc", axis))


def test_caption_says_what_bars_samples_and_hollow_markers_are(
    rows: list[Evaluation], measure: Measure, axis: KvAxis, result: SearchResult
) -> None:
    plain = accuracy_figure(rows, ACCURACY, axis)
    caption = accuracy_caption(plain, rows, ACCURACY)
    assert "1.96 standard errors" in caption
    assert "± is one standard error" in caption
    assert "1,000 tokens" in caption
    assert "Hollow" not in caption
    hollow = accuracy_figure(rows, ACCURACY, axis, fronts=result.fronts)
    assert "Hollow" in accuracy_caption(hollow, rows, ACCURACY)
    row = measure(extra=(Measurement("piqa/acc", 0.8, 0.01, 50),))
    assert "50 questions" in accuracy_caption(plain, [row], "piqa/acc")


def test_caption_says_which_figures_were_read_through_the_cache(
    rows: list[Evaluation], axis: KvAxis
) -> None:
    figure = accuracy_figure(rows, ACCURACY, axis)
    assert "at a time" not in accuracy_caption(figure, rows, ACCURACY)
    # The last one was measured in another way, and is not in the chart.
    apart = [*rows[:-1], replace(rows[-1], piece_tokens=16)]
    assert "at a time" not in accuracy_caption(figure, apart, ACCURACY)
    read = [replace(rows[1], piece_tokens=16), *rows[:1], *rows[2:]]
    assert accuracy_caption(figure, read, ACCURACY).endswith(
        " Where the cache is quantized, models read 16 tokens at a time through it."
    )


def test_estimates_are_never_extrapolated() -> None:
    assert estimates({10: 1.0, 20: 3.0}, [5, 10, 15, 20, 25]) == {15: 2.0}
    assert estimates({10: 1.0, 20: 100.0}, [15], log=True) == {15: pytest.approx(10.0)}
    assert estimates({10: 1.0}, [5, 10, 15]) == {}
    assert estimates({}, [5]) == {}


def test_spread_over_the_range() -> None:
    assert spaced([1, 2, 3], 5) == [1, 2, 3]
    assert spaced(list(range(101)), 5) == [0, 25, 50, 75, 100]


def test_table_has_values_errors_and_changes(rows: list[Evaluation], measure: Measure) -> None:
    paired = Measurement(f"{ACCURACY}_difference", -0.21, 0.004, 1000)
    rows.append(measure("gqa", 24, accuracy=0.39, extra=(paired,)))
    table = accuracy_table(rows, {ACCURACY: "Accuracy", PERPLEXITY: "Perplexity"})
    assert list(table["method"]) == ["source", "Optimal", "Optimal", "GQA", "Optimal", "MQA"]
    assert list(table["KV ratio"]) == [1, 0.75, 0.5, 0.5, 0.25, 0.125]
    gqa = table[table["method"] == "GQA"].iloc[0]
    assert gqa["Accuracy, %"] == pytest.approx(39)
    assert gqa["Accuracy, standard error"] == pytest.approx(1)
    assert gqa["Accuracy, change"] == pytest.approx(-21)
    assert gqa["Accuracy, standard error of change"] == pytest.approx(0.4)
    assert gqa["Accuracy, % kept"] == pytest.approx(65)
    assert np.isnan(gqa["Perplexity"])
    source = table.iloc[0]
    assert np.isnan(source["Accuracy, change"])
    assert source["Accuracy, % kept"] == pytest.approx(100)
    # Nothing is kept of what should be small.
    assert "Perplexity, % kept" not in table


def test_table_calls_merges_by_readable_names(measure: Measure) -> None:
    rows = [measure(), measure("gqa", 24), measure("best", 24, merge="svd")]
    assert set(accuracy_table(rows, {ACCURACY: "Accuracy"})["merge"]) == {
        *("none", "mean", "subspaces"),
    }


def test_what_compares_with_the_source_has_no_change(measure: Measure) -> None:
    names = {f"heldout/{name}": name for name in ("kl", "same_top")}
    closeness = tuple(Measurement(name, 0.5, 0.1, 100) for name in names)
    table = accuracy_table([measure(), measure("gqa", 24, extra=closeness)], names)
    assert list(table.columns[4:]) == [
        *("kl", "kl, standard error"),
        *("same_top, %", "same_top, standard error"),
    ]


def test_table_of_nothing_has_no_rows() -> None:
    assert accuracy_table([], {ACCURACY: "Accuracy"}).empty
