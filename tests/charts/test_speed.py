"""Speed and memory, charted, tabled and in words that say what is seen."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from qcqa.charts.quality.series import metrics_of
from qcqa.charts.quality.speed import speed_conditions, speed_rows, speed_sentence, speed_table
from qcqa.charts.quality.speed_chart import QUANTITIES, speed_figure
from qcqa.measure.benchmark import Benchmark, DecodeLoad
from qcqa.measure.evaluation import Evaluation
from qcqa.plan.plan import Measurement

LOAD = DecodeLoad(256, 2, 8)
MeasureSpeed = Callable[..., Evaluation]


@pytest.fixture
def measure_speed(measure: Callable[..., Evaluation]) -> MeasureSpeed:
    """Return a maker of rows with speed alone."""

    def row(
        method: str = "mha",
        heads: int = 48,
        *,
        speedup: float = 1.0,
        error: float = 0.01,
        ratio: float | None = None,
        load: DecodeLoad = LOAD,
    ) -> Evaluation:
        made = measure(method, heads)
        own = [("prefill_seconds", 0.1), ("seconds_per_token", 0.01 / speedup)]
        of_source = [("decode_speedup", speedup), ("prefill_speedup", 1.0)]
        figures = [
            Measurement(f"{load.data}/{name}", value, error * value, 7)
            for name, value in own + (of_source if method != "mha" else [])
        ]
        figures.append(Measurement(f"{load.data}/cache_bytes", heads * 1024.0))
        if method != "mha":
            held = made.kv_ratio if ratio is None else ratio
            figures.append(Measurement(f"{load.data}/cache_ratio", held))
        return replace(made, benchmark=Benchmark(speed=load), measured=tuple(figures))

    return row


def test_conditions_are_told_apart_and_the_fullest_come_first(measure_speed: MeasureSpeed) -> None:
    other = DecodeLoad(64)
    rows = [
        measure_speed(load=other),
        measure_speed(),
        measure_speed("gqa", 24),
        replace(measure_speed(), dtype="float32", device="cuda"),
    ]
    first, *rest = speed_conditions(rows)
    assert (first.load, first.label) == (LOAD, "context 256, batch 2, 8 new tokens, CPU")
    assert {one.label for one in rest} == {
        "context 64, batch 1, 32 new tokens, CPU",
        "context 256, batch 2, 8 new tokens, GPU, float32",
    }
    assert [row.method for row in speed_rows(rows, first)] == ["mha", "gqa"]
    assert speed_conditions([]) == []


@pytest.mark.parametrize("metric", QUANTITIES)
def test_every_model_has_a_bar_and_the_source_a_line(
    measure_speed: MeasureSpeed, metric: str
) -> None:
    rows = [measure_speed("gqa", 24), measure_speed(), measure_speed("optimal", 12)]
    figure = speed_figure(rows, speed_conditions(rows)[0], QUANTITIES[metric])
    bars = figure.data[0]
    assert list(bars.y) == ["source", "GQA, 50 %", "Optimal, 25 %"]
    assert figure.layout.shapes[0].x0 == bars.x[0]
    assert bars.error_x.visible == (metric != "cache_bytes")
    assert figure.layout.xaxis.range[1] > max(bars.x)


def test_bars_are_in_the_unit_of_their_title(measure_speed: MeasureSpeed) -> None:
    rows = [measure_speed()]
    conditions = speed_conditions(rows)[0]
    speed = speed_figure(rows, conditions, QUANTITIES["decode_speedup"]).data[0]
    assert list(speed.x) == [1]
    # Whoever points at it sees the time: 1.96 standard errors of 1 %.
    assert speed.hovertext[0] == "<b>source</b><br>1.00<br>10.0 ± 0.196 ms"
    (size, *_) = speed_figure(rows, conditions, QUANTITIES["cache_bytes"]).data[0].x
    assert size == pytest.approx(48 / 1024)


def test_nothing_measured_is_an_empty_chart(measure_speed: MeasureSpeed) -> None:
    rows = [measure_speed()]
    nothing = replace(rows[0], measured=())
    figure = speed_figure([nothing], speed_conditions(rows)[0], QUANTITIES["cache_bytes"])
    assert len(figure.data[0].x) == 0


@pytest.mark.parametrize(
    ("speedups", "said"),
    [
        ((1.0, 1.01), "No plan generates measurably faster or slower than the source."),
        ((1.3, 1.01), "Generating, 1 of 2 plans is faster than the source, by up to 30.0 %; 1 not"),
        ((0.8, 0.7), "Generating, 2 of 2 plans are slower, by up to 30.0 %."),
        ((1.2,), "Generating, the plan is faster than the source, by up to 20.0 %."),
    ],
)
def test_the_sentence_says_what_is_seen(
    measure_speed: MeasureSpeed, speedups: tuple[float, ...], said: str
) -> None:
    rows = [measure_speed()]
    rows += [
        measure_speed(method, 24, speedup=speedup)
        for method, speedup in zip(("gqa", "optimal"), speedups, strict=False)
    ]
    sentence = speed_sentence(rows, speed_conditions(rows)[0])
    assert sentence.startswith(said)
    assert sentence.endswith("holds 50.0 % of the source's bytes, as promised.")


def test_a_broken_promise_is_said_and_the_source_alone_says_nothing(
    measure_speed: MeasureSpeed,
) -> None:
    rows = [measure_speed(), measure_speed("gqa", 24, ratio=0.6)]
    assert "not what the plans promise" in speed_sentence(rows, speed_conditions(rows)[0])
    assert speed_sentence(rows[:1], speed_conditions(rows)[0]) == ""


def test_the_table_has_medians_errors_and_ratios(measure_speed: MeasureSpeed) -> None:
    rows = [measure_speed(), measure_speed("gqa", 24, speedup=1.25)]
    table = speed_table(rows, speed_conditions(rows)[0])
    assert list(table["method"]) == ["source", "GQA"]
    assert table["ms per token"][1] == pytest.approx(8)
    assert table["speed of generation"][1] == pytest.approx(1.25)
    assert table["speed of generation, standard error"][1] == pytest.approx(0.0125)
    assert table["measured ratio"][1] == 0.5
    # Where the device does not tell.
    assert "peak beside the weights, MiB" not in table


def test_speed_is_no_metric_of_quality(measure_speed: MeasureSpeed) -> None:
    assert metrics_of([measure_speed(), measure_speed("gqa", 24)]) == {}
