"""Whether WSE stands for a model's quality, in one sentence."""

from collections.abc import Iterable
from itertools import combinations

from qcqa.charts.quality.proxy import FEWEST_PAIRS, check_proxy, proxy_metric, verdict
from qcqa.measure.evaluation import Evaluation
from qcqa.reduce.groups.wse import choices_wse
from qcqa.search.method_sets import BASELINES
from qcqa.search.result import SearchResult


def wse_verdict(result: SearchResult, rows: Iterable[Evaluation]) -> str:
    """Say in one sentence whether WSE stands for a model's quality, and on which ground.

    By plans of the same size that were measured, where there are enough; else by layers that a
    search has measured one at a time, all grouped alike.

    Parameters
    ----------
    result : SearchResult
        Fronts of the methods.
    rows : iterable of Evaluation
        What was measured.
    """
    rows = list(rows)
    metric = proxy_metric(rows)
    check = check_proxy(rows, metric, chosen_by_loss(result)) if metric else None
    if check is not None and check.is_telling:
        return check.sentence
    num_ordered, num_pairs = _ordered_layers(result)
    if num_pairs >= FEWEST_PAIRS:
        return (
            f"{verdict(num_ordered, num_pairs)}: of {num_pairs} pairs of layers, grouped alike "
            f"and measured one at a time, the one with the lower WSE lost less in {num_ordered}."
        )
    if check is not None:
        return check.sentence
    return "Whether WSE stands for quality on this model is not known: nothing was measured yet."


def chosen_by_loss(result: SearchResult) -> frozenset[str]:
    """Return the methods whose plans a measured loss has chosen; baselines choose nothing."""
    return frozenset(
        name
        for name, front in result.fronts.items()
        if front.fitness == "loss" and name not in BASELINES
    )


def _ordered_layers(result: SearchResult) -> tuple[int, int]:
    """Return in how many pairs of layers, cut into GQA's blocks, WSE has the order of the loss.

    And of how many. What blocks of neighbours lose was chosen by nothing.
    """
    front = result.fronts.get("gqa")
    if front is None or front.fitness != "loss":
        return 0, 0
    alike: dict[int, list[tuple[float, float]]] = {}
    for gram, candidates in zip(result.grams.layers, front.layers, strict=True):
        wse = choices_wse(gram, candidates.choices)
        for cost, *both in zip(candidates.cost, wse, candidates.error, strict=True):
            if cost < 2 * result.spec.num_kv_heads * result.spec.head_bits:
                alike.setdefault(int(cost), []).append((float(both[0]), float(both[1])))
    pairs = [pair for layers in alike.values() for pair in combinations(layers, 2)]
    ordered = [(first[0] < second[0]) == (first[1] < second[1]) for first, second in pairs]
    return sum(ordered), len(pairs)
