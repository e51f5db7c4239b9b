"""How to read the Pareto chart, in words."""

from qcqa.charts.common.markup import plain
from qcqa.charts.common.palette import method_style
from qcqa.charts.common.wording import listed
from qcqa.charts.fronts.error_axis import ErrorScale
from qcqa.plan.budget import CacheLoad
from qcqa.reduce.terms import Fitness
from qcqa.search.method_sets import BASELINES
from qcqa.search.result import SearchResult

_AIMS: dict[Fitness, str] = {
    "output-error": "the error of the attention's output",
    "loss": "measured loss",
}


def pareto_caption(
    result: SearchResult, scale: ErrorScale, load: CacheLoad, *, log: bool = False
) -> str:
    """Say how to read the chart of :func:`~qcqa.charts.fronts.pareto.pareto_figure`, as Markdown.

    Parameters
    ----------
    result : SearchResult
        What is drawn.
    scale : ErrorScale
        What the vertical axis shows.
    load : CacheLoad
        At which sizes are counted.
    log : bool
        Whether it is logarithmic.
    """
    step = "Every step is a plan; down and to the left is better"
    if scale == "loss":
        return (
            f"{step}. **Summed rise of the loss**: measured on the calibration text with one layer "
            "reduced at a time, and summed over the layers. It ranks plans, and a whole plan may "
            f"lose far more: measure it before you serve it.{_of_bits(result, load)}"
        )
    if scale == "output-error":
        return (
            f"{step}. **Output error**: how far merging moves the attention's output on the "
            "calibration text, relative to its squared norm. It only stands in for quality: "
            f"measure a plan before you serve it.{_absent(result)}"
        )
    any_grouping = "no grouping" if result.bound.apart else "no grouping of K and V alike"
    aims = "".join(
        f" **{listed(_labels(result, fitness))} {_choose(result, fitness)} by {aim}, not by WSE.**"
        for fitness, aim in _AIMS.items()
        if _labels(result, fitness)
    )
    reaches = (
        "is below zero"
        if scale == "gap"
        else "is below the dashed line"
        if log
        else "reaches the grey area under the dashed line"
    )
    return (
        f"{step}, and {any_grouping} {reaches}. **WSE** is the weight-sharing error: how "
        "far merging moves the K and V weights, relative to their squared norm. It needs "
        f"no data and only stands in for quality: measure a plan before you serve it.{aims}"
        + _absent(result)
    )


def _of_bits(result: SearchResult, load: CacheLoad) -> str:
    """Say how fewer bits are counted, where there are any."""
    if not _names_of_bits(result):
        return ""
    dtype = plain(load.dtype)
    return (
        f" Bits are counted in a cache of {load.context_tokens:,} tokens in {dtype}, scales and "
        "the newest tokens, which stay as they are, included."
    )


def _absent(result: SearchResult) -> str:
    """Say whose plans are not to be seen where weights alone are looked at."""
    names = _names_of_bits(result)
    if not names:
        return ""
    return f" What fewer bits lose is not in the weights: {listed(names)} stand by measured loss."


def _names_of_bits(result: SearchResult) -> list[str]:
    return [method_style(name).label for name, front in result.fronts.items() if front.has_codecs]


def _labels(result: SearchResult, fitness: Fitness) -> list[str]:
    """Return who chose plans by a fitness; baselines choose nothing."""
    return [
        method_style(name).label
        for name, front in result.fronts.items()
        if front.fitness == fitness and name not in BASELINES
    ]


def _choose(result: SearchResult, fitness: Fitness) -> str:
    return "choose layers" if len(_labels(result, fitness)) > 1 else "chooses layers"
