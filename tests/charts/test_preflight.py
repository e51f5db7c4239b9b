"""Words for times and sizes."""

import pytest

from qcqa.charts.common.duration import about, between, clock
from qcqa.charts.jobs.preflight import time_text
from qcqa.search.estimate import TimedPart, TimeEstimate
from qcqa.sizes import bytes_text


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.2, 0.9, "1 second"),
        (3, 8, "3 to 8 seconds"),
        (10, 26, "10 to 25 seconds"),
        (50, 130, "1 to 2 minutes"),
        (20, 200, "20 seconds to 3 minutes"),
        (114, 667, "2 to 11 minutes"),
        (5400, 18000, "1.5 to 5 hours"),
        (1e6, 5e6, "12 to 58 days"),
    ],
)
def test_spans_are_said_in_few_words(low: float, high: float, text: str) -> None:
    assert between(low, high) == text


def test_times_and_sizes_have_fitting_units() -> None:
    assert [about(seconds) for seconds in (1, 42, 60 * 7, 3600 * 2.5)] == [
        "1 second",
        "40 seconds",
        "7 minutes",
        "2.5 hours",
    ]
    assert [clock(seconds) for seconds in (7, 67, 7384)] == ["0:07", "1:07", "2:03:04"]
    assert [bytes_text(size) for size in (2**10, 1.5 * 2**20, 2**30, 5000 * 2**30)] == [
        "1 KiB",
        "1.5 MiB",
        "1 GiB",
        "5,000 GiB",
    ]


def test_an_estimate_says_what_it_rests_on() -> None:
    parts = (TimedPart("start", 4.0, 2.0),)
    assert time_text(TimeEstimate(parts)) == "2 to 8 seconds"
    assert time_text(TimeEstimate(parts, 1)).endswith("judging by 1 search on this machine")
    assert "other work" in time_text(TimeEstimate(parts, 1, is_busy=True))
