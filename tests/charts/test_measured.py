"""Rows are sorted so that only what is comparable stands side by side."""

import math
from collections.abc import Callable
from dataclasses import replace

from qcqa.charts.quality.series import (
    change_of,
    change_text,
    metric_title,
    metrics_of,
    series_of,
    value_text,
)
from qcqa.measure.benchmark import Benchmark
from qcqa.measure.comparable import conditions_of, paired_difference, rows_under
from qcqa.measure.evaluation import Evaluation
from qcqa.measure.samples import Samples, Stratum
from qcqa.plan.plan import Measurement

Measure = Callable[..., Evaluation]

ACCURACY = "heldout/accuracy"


def _named(measure: Measure, *names: str) -> Evaluation:
    return replace(measure(), measured=tuple(Measurement(name, 0.5) for name in names))


def test_metrics_are_those_of_texts_then_tasks_without_differences(measure: Measure) -> None:
    row = _named(
        measure,
        "piqa/acc",
        "piqa/acc_norm",
        "recall/acc",
        "heldout/perplexity",
        "heldout/nll",
        "heldout/accuracy",
        "heldout/perplexity_ratio",
        "heldout/nll_difference",
        "recall/acc_difference",
        "cache_bytes_per_token",
    )
    assert metrics_of([row]) == {
        "heldout/perplexity": "Perplexity",
        "heldout/accuracy": "Next-token accuracy",
        "piqa/acc": "Accuracy on piqa",
        "piqa/acc_norm": "Accuracy, normalised by length, on piqa",
        "recall/acc": "Accuracy on recall",
    }


def test_two_texts_and_a_log_likelihood_alone_keep_their_names(measure: Measure) -> None:
    row = _named(measure, "wiki/nll", "wiki/perplexity", "code/nll")
    assert list(metrics_of([row]).values()) == [
        "Perplexity on wiki",
        "Negative log-likelihood on code",
    ]
    assert metrics_of([]) == {}


def test_a_small_sample_comes_last_and_is_named(measure: Measure) -> None:
    """A text of 20 bytes once became the default view for good."""
    junk = [
        replace(
            measure(),
            benchmark=Benchmark(text="/tmp/junk.txt"),
            plan_digest=str(number),
            measured=(Measurement("junk/accuracy", 1.0, None, 4),),
        )
        for number in range(5)
    ]
    assert metrics_of([*junk, measure()]) == {
        "heldout/accuracy": "Next-token accuracy on held-out stories",
        "junk/accuracy": "Next-token accuracy on junk (small sample)",
    }
    few = [replace(one, measured=(Measurement(ACCURACY, 1.0, None, 4),)) for one in junk]
    first, second = conditions_of([*few, measure()], ACCURACY)
    assert (first.text, second.text) == ("demo", "/tmp/junk.txt")
    assert [row.method for row in rows_under([*few, measure()], ACCURACY)] == ["mha"]


def test_long_names_fit_a_chart() -> None:
    assert len(metric_title(f"{'x' * 300}/acc")) < 80


def test_rows_of_other_conditions_are_left_out_unless_asked_for(measure: Measure) -> None:
    rows = [
        measure(limit=5, accuracy=0.9),
        measure(accuracy=0.6),
        measure("gqa", 24, accuracy=0.4),
    ]
    whole, short = conditions_of(rows, ACCURACY)
    assert (whole.limit, short.limit) == (None, 5)
    assert whole.label != short.label
    assert rows_under(rows, ACCURACY) == rows[1:]
    assert rows_under(rows, ACCURACY, short) == rows[:1]


def test_conditions_of_a_text_do_not_part_questions(measure: Measure) -> None:
    question = (Measurement("recall/acc", 0.5),)
    one = measure(extra=question)
    other = replace(
        measure("gqa", 24, extra=question), benchmark=replace(one.benchmark, text="wiki.txt")
    )
    assert len(conditions_of([one, other], "recall/acc")) == 1
    assert len(conditions_of([one, other], ACCURACY)) == 2


def test_of_equal_plans_the_last_counts(measure: Measure) -> None:
    rows = [measure("gqa", 24, accuracy=0.1), measure("gqa", 24, accuracy=0.2)]
    assert rows_under(rows, ACCURACY) == rows[1:]


def test_merges_of_one_method_are_told_apart(measure: Measure) -> None:
    rows = [measure("gqa", 24, merge="svd"), measure("gqa", 24), measure("mqa", 6, merge="svd")]
    mean, svd, alone = series_of(rows)
    assert (mean.style.label, svd.style.label, alone.style.label) == (
        "GQA, mean",
        "GQA, subspaces",
        "MQA",
    )
    assert mean.style.colour == svd.style.colour
    assert mean.style.dash != svd.style.dash
    assert mean.style.symbol != svd.style.symbol


def test_change_is_paired_where_it_was_measured(measure: Measure) -> None:
    source = measure(accuracy=0.6)
    plain = measure("gqa", 24, accuracy=0.4)
    paired = replace(
        plain, measured=(*plain.measured, Measurement(f"{ACCURACY}_difference", -0.2, 0.003))
    )
    assert change_of(source, ACCURACY, source) is None
    change = change_of(plain, ACCURACY, source)
    assert change is not None
    assert change.standard_error is None
    assert round(change.value, 9) == -0.2
    assert change_of(paired, ACCURACY, None) == paired.measured[-1]


def test_change_of_a_perplexity_has_the_paired_error_of_its_logarithm(measure: Measure) -> None:
    """The table said that it was not known, where the cards said how large it was."""

    def row(method: str, higher: float) -> Evaluation:
        sums = tuple(10.0 + higher * (1 + number % 2) for number in range(12))
        samples = (Samples("heldout/nll", "digest", (Stratum(1.0, (10,) * 12, sums),)),)
        perplexity = math.exp(sum(sums) / 120)
        return replace(measure(method, 24, perplexity=perplexity), samples=samples)

    source, plan = row("mha", 0), row("gqa", 1)
    change = change_of(plan, "heldout/perplexity", source)
    assert change == paired_difference(plan, source, "heldout/perplexity")
    assert change is not None
    assert change.standard_error


def test_figures_are_written_with_their_units() -> None:
    assert value_text(ACCURACY, 0.1234) == "12.3 %"
    assert value_text("heldout/perplexity", 5.4567) == "5.46"
    assert value_text("heldout/perplexity", float("inf")) == "—"
    assert change_text(ACCURACY, -0.0512) == "\N{MINUS SIGN}5.1 points"
    assert change_text("heldout/perplexity", 0.5) == "+0.500"
    assert change_text(ACCURACY, -0.0004) == "0.0 points"
