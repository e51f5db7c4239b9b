"""A search result that is there at once, and rows as an evaluation yields them."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from qcqa.measure.benchmark import Benchmark
from qcqa.measure.evaluation import Evaluation
from qcqa.plan.budget import CacheLoad
from qcqa.plan.plan import Measurement
from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.groups.gram import ModelGrams
from qcqa.search.methods import run_method
from qcqa.search.result import SearchResult
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.optimal import lower_bound
from qcqa.search.strategy.options import ExactOptions
from qcqa.search.strategy.problem import Problem, wse_problem

#: Bits per token of one head of :func:`result`'s model: 4 elements of 16 bits.
HEAD_BITS = 64


@pytest.fixture
def result(random_grams: ModelGrams) -> SearchResult:
    """Return the fronts of 3 layers of 8 heads: all baselines and the optimal front."""
    settings = SearchSettings(exact=ExactOptions(restarts=1), workers=1)
    problem = wse_problem(random_grams)
    methods = ("mha", "gqa", "mqa", "optimal")
    return SearchResult(
        grams=random_grams,
        fronts={name: run_method(name, problem, settings) for name in methods},
        bound=lower_bound(problem, settings),
    )


@pytest.fixture
def with_best(result: SearchResult) -> SearchResult:
    """Return :func:`result` and a front by measured loss: a made-up one, quick to measure."""

    def rescore(layer: int, choices: Sequence[LayerChoice]) -> NDArray[np.float64]:
        layers = [choice.picture(8) for choice in choices]
        merged = [(8 - one.key.num_stored, 8 - one.value.num_stored) for one in layers]
        return np.array([(key**2 + 0.2 * value**2) / (100 + layer) for key, value in merged])

    make_objective = wse_problem(result.grams).make_objective
    problem = Problem(result.grams, make_objective, fitness="loss", rescore=rescore)
    best = run_method("best", problem, SearchSettings(exact=ExactOptions(restarts=1), workers=1))
    return replace(result, fronts={**result.fronts, "best": best})


@pytest.fixture
def load() -> CacheLoad:
    return CacheLoad(context_tokens=4096, batch_size=2, dtype="bfloat16")


@pytest.fixture
def measure() -> Callable[..., Evaluation]:
    """Return a maker of measured rows of the model of :func:`result`."""

    def row(
        method: str = "mha",
        heads: int = 48,
        *,
        accuracy: float = 0.6,
        perplexity: float | None = None,
        error: float | None = 0.01,
        rise: float | None = None,
        relative_wse: float = 0.0,
        merge: str = "mean",
        limit: int | None = None,
        extra: tuple[Measurement, ...] = (),
    ) -> Evaluation:
        measured = [Measurement("heldout/accuracy", accuracy, error, 1000)]
        if perplexity is not None:
            measured.append(Measurement("heldout/perplexity", perplexity, 0.1, 1000))
        if rise is not None:
            measured.append(Measurement("heldout/nll_difference", rise, 0.02, 1000))
        return Evaluation(
            method=method,
            merge="none" if method == "mha" else merge,
            kv_bits=heads * HEAD_BITS,
            kv_ratio=heads / 48,
            kv_bytes_per_token=8 * heads,
            wse=10 * relative_wse,
            relative_wse=relative_wse,
            device="cpu",
            dtype="auto",
            plan_digest="" if method == "mha" else f"{method}-{merge}-{heads}",
            benchmark=Benchmark(text="demo", limit=limit),
            measured=(*measured, *extra),
        )

    return row
