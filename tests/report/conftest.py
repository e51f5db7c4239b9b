"""A search result that is there at once."""

import pytest

from qcqa.budget import CacheLoad
from qcqa.gram import ModelGrams
from qcqa.methods import run_method
from qcqa.search.config import SearchSettings
from qcqa.search.optimal import lower_bound
from qcqa.search.problem import wse_problem
from qcqa.search_result import SearchResult


@pytest.fixture
def result(random_grams: ModelGrams) -> SearchResult:
    """Return the fronts of 3 layers of 8 heads: all baselines and the optimal front."""
    settings = SearchSettings(restarts=1, workers=1)
    problem = wse_problem(random_grams)
    methods = ("mha", "gqa", "mqa", "optimal")
    return SearchResult(
        grams=random_grams,
        fronts={name: run_method(name, problem, settings) for name in methods},
        bound=lower_bound(problem, settings),
    )


@pytest.fixture
def load() -> CacheLoad:
    return CacheLoad(context_tokens=4096, batch_size=2, dtype="bfloat16")
