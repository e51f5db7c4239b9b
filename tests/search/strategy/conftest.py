"""Problems of random heads, some of which are alike."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from qcqa.model.spec import ModelSpec
from qcqa.reduce.groups.gram import HeadGram, ModelGrams
from qcqa.reduce.groups.objective import WseObjective
from qcqa.search.strategy.problem import Problem


@pytest.fixture(scope="session")
def make_spec() -> Callable[[int, int], ModelSpec]:
    """Return a function that makes the geometry of a model of so many layers and heads."""

    def make(num_layers: int, num_heads: int) -> ModelSpec:
        return ModelSpec(
            source="random",
            revision=None,
            model_type="llama",
            num_layers=num_layers,
            num_query_heads=num_heads,
            num_kv_heads=num_heads,
            head_dim=4,
            hidden_size=16,
            has_kv_bias=False,
            dtype="bfloat16",
        )

    return make


@pytest.fixture(scope="session")
def make_problem(make_spec) -> Callable[..., Problem]:
    """Return a function that makes a problem of a Gram per layer, by default of WSE."""

    def make(grams: Sequence[np.ndarray], objective=WseObjective, **terms) -> Problem:
        spec = make_spec(len(grams), len(grams[0]))
        layers = tuple(HeadGram(key=gram / 2, value=gram / 2) for gram in grams)
        model = ModelGrams(spec=spec, fingerprint="0" * 16, layers=layers)
        return Problem(model, lambda layer, _kind: objective(grams[layer]), **terms)

    return make
