"""Whether WSE stands for quality is told from plans of one size."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from qcqa.charts.common.wording import counted
from qcqa.charts.quality.proxy import check_proxy, proxy_figure, proxy_metric
from qcqa.measure.evaluation import Evaluation
from qcqa.plan.plan import Measurement

Measure = Callable[..., Evaluation]

RISE = "heldout/nll_difference"


@pytest.fixture
def plans(measure: Measure) -> Callable[[bool], list[Evaluation]]:
    """Return a maker of the source and three plans at each of three sizes."""

    def made(holds: bool) -> list[Evaluation]:
        rows = [measure()]
        for heads in (36, 24, 12):
            for place, method in enumerate(("optimal", "gqa", "qcqa-ec")):
                # Within a size the loss rises with WSE, or falls; over sizes it always rises.
                step = 0.1 * (place if holds else -place)
                rows.append(
                    measure(
                        method,
                        heads,
                        rise=(48 - heads) / 10 + step,
                        relative_wse=(48 - heads) / 50 + 0.01 * place,
                    )
                )
        return rows

    return made


def test_proxy_that_holds(plans: Callable[[bool], list[Evaluation]]) -> None:
    check = check_proxy(plans(True), RISE)
    assert check.num_plans == 9
    assert check.rank_correlation == pytest.approx(1)
    assert check.within_size == pytest.approx(1)
    assert (check.num_pairs, check.num_ordered) == (9, 9)
    assert "WSE stands for quality" in check.sentence
    assert "9 plans" in check.figures
    assert "Over all sizes" in check.figures


def test_proxy_that_only_holds_across_sizes(plans: Callable[[bool], list[Evaluation]]) -> None:
    check = check_proxy(plans(False), RISE)
    assert check.rank_correlation is not None
    assert check.rank_correlation > 0.7
    assert check.within_size == pytest.approx(-1)
    assert check.num_ordered == 0
    assert "WSE does not stand for quality" in check.sentence
    assert "\N{MINUS SIGN}1.00" in check.figures


def test_what_chance_alone_may_have_parted_has_no_order(
    plans: Callable[[bool], list[Evaluation]],
) -> None:
    near = [
        replace(row, measured=tuple(_with_error(f, 0.2) for f in row.measured))
        for row in plans(True)
    ]
    check = check_proxy(near, RISE)
    assert (check.num_plans, check.num_pairs) == (9, 0)
    assert "not known" in check.sentence


def _with_error(figure: Measurement, error: float) -> Measurement:
    return replace(figure, standard_error=error)


def test_plan_that_two_methods_found_counts_once(plans: Callable[[bool], list[Evaluation]]) -> None:
    rows = plans(True)
    twins = [replace(row, method="qcqa-ac") for row in rows if row.method == "optimal"]
    assert check_proxy([*rows, *twins], RISE) == check_proxy(rows, RISE)


def test_merges_are_not_compared_with_each_other(plans: Callable[[bool], list[Evaluation]]) -> None:
    rows = plans(True)
    other = [replace(row, merge="svd", plan_digest=f"{row.plan_digest}-svd") for row in rows[1:]]
    assert check_proxy([*rows, *other], RISE).num_pairs == 18


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_plans_say_so(measure: Measure, count: int) -> None:
    rows = [measure("gqa", 24 - n, rise=0.1 * n, relative_wse=0.1 * n) for n in range(count)]
    check = check_proxy(rows, RISE)
    assert check.rank_correlation is None
    # Nothing is said of a correlation that there is not.
    assert check.figures == counted(count, "plan") + "."
    assert check.within_size is None
    assert "not known" in check.sentence
    assert len(proxy_figure(rows, RISE).data) == (1 if count else 0)


def test_loss_of_a_text_comes_before_tasks(measure: Measure) -> None:
    task = Measurement("recall/acc_difference", -0.2, 0.01, 50)
    assert proxy_metric([measure()]) is None
    assert proxy_metric([measure("gqa", 24, extra=(task,))]) == task.metric
    assert proxy_metric([measure("gqa", 24, extra=(task,), rise=0.1)]) == RISE


def test_lost_accuracy_counts_upwards(measure: Measure) -> None:
    task = Measurement("recall/acc_difference", -0.2, 0.01, 50)
    row = measure("gqa", 24, extra=(task,), relative_wse=0.4)
    (trace,) = proxy_figure([measure(), row], task.metric).data
    assert list(trace.x) == [0.4]
    assert list(trace.y) == [pytest.approx(20)]
    assert list(trace.error_y.array) == [pytest.approx(1.96)]


def test_figures_that_are_no_numbers_are_left_out(measure: Measure) -> None:
    rows = [measure("gqa", 24, rise=float("nan"))]
    assert check_proxy(rows, RISE).num_plans == 0
    assert not proxy_figure(rows, RISE).data
