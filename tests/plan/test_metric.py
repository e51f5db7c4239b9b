"""Which direction is better, for figures of every evaluation."""

from qcqa.measure.benchmark import DecodeLoad
from qcqa.plan.metric import METRICS, data_of, metric_of
from qcqa.plan.plan import Measurement


def test_a_measurement_tells_its_data_its_metric_and_which_direction_is_better() -> None:
    accuracy = Measurement("demo_recall/acc", 0.5)
    assert data_of(accuracy) == "demo_recall"
    assert metric_of(accuracy).higher_is_better
    assert metric_of(accuracy).is_share
    name = f"{DecodeLoad(128).data}/cache_bytes"
    assert metric_of(name).higher_is_better is False
    assert metric_of(name).unit == "bytes"


def test_a_difference_is_better_in_the_direction_of_what_it_is_of() -> None:
    assert metric_of("heldout/nll_difference").higher_is_better is False
    assert metric_of("hellaswag/acc_norm_difference").higher_is_better
    assert metric_of("heldout/nll_difference").label == "change in negative log-likelihood"


def test_an_unknown_metric_can_still_be_shown() -> None:
    assert metric_of("task/strange_score").label == "strange score"
    assert metric_of("task/strange_score").higher_is_better is None
    assert data_of("perplexity") == ""
    assert all(name == metric.name for name, metric in METRICS.items())
