"""Whether WSE stands for quality is told from what no loss has chosen."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from qcqa.charts.quality.proxy import check_proxy
from qcqa.charts.quality.wse_verdict import wse_verdict
from qcqa.measure.evaluation import Evaluation
from qcqa.reduce.groups.gram import ModelGrams
from qcqa.reduce.groups.wse import choices_wse
from qcqa.search.methods import run_method
from qcqa.search.result import SearchResult
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.optimal import lower_bound
from qcqa.search.strategy.problem import Problem, wse_problem

Measure = Callable[..., Evaluation]

SETTINGS = SearchSettings(stage2_fitness="loss")


def _searched(grams: ModelGrams, sign: int) -> SearchResult:
    """Return a search in which layers lose by their WSE, or the more the lower it is."""

    def rescore(layer, choices):
        return np.exp(sign * choices_wse(grams.layers[layer], choices) / grams.trace)

    by_wse = wse_problem(grams)
    problem = Problem(grams, by_wse.make_objective, fitness="loss", rescore=rescore)
    fronts = {name: run_method(name, problem, SETTINGS) for name in ("mha", "gqa", "mqa")}
    return SearchResult(grams, fronts, lower_bound(by_wse, SETTINGS))


@pytest.mark.parametrize(
    ("sign", "verb", "lost"), [(1, "stands for", 9), (-1, "does not stand for", 0)]
)
def test_layers_grouped_alike_tell_where_no_plan_was_measured(
    random_grams: ModelGrams, sign: int, verb: str, lost: int
) -> None:
    # Three layers, each cut into one, two and four blocks.
    said = wse_verdict(_searched(random_grams, sign), ())
    assert said.startswith(f"WSE {verb} quality on this model: of 9 pairs of layers")
    assert said.endswith(f"lost less in {lost}.")


def test_without_a_measurement_nothing_is_known(result: SearchResult, measure: Measure) -> None:
    assert "not known: nothing was measured" in wse_verdict(result, ())
    assert "not known: too few" in wse_verdict(result, [measure(), measure("gqa", 24, rise=0.1)])


def test_plans_that_a_loss_has_chosen_say_nothing_of_wse(measure: Measure) -> None:
    rows = [
        measure(method, 24, rise=rise, relative_wse=wse)
        for method, rise, wse in (
            ("optimal", 0.9, 0.1), ("gqa", 0.5, 0.2), ("qcqa-ac", 0.1, 0.3), ("qcqa-ec", 0.3, 0.4),
        )
    ]  # fmt: skip
    metric = "heldout/nll_difference"
    assert check_proxy(rows, metric).num_pairs == 6
    assert check_proxy(rows, metric, {"qcqa-ac", "qcqa-ec"}).num_pairs == 1


def test_what_has_no_error_has_no_order(measure: Measure) -> None:
    rows = [measure(name, 24, rise=n, relative_wse=n) for n, name in enumerate(("gqa", "optimal"))]
    unknown = [
        replace(row, measured=tuple(replace(f, standard_error=None) for f in row.measured))
        for row in rows
    ]
    assert check_proxy(rows, "heldout/nll_difference").num_pairs == 1
    assert check_proxy(unknown, "heldout/nll_difference").num_pairs == 0
