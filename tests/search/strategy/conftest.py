"""Grams of random heads, some of which are alike, and problems of them."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from qcqa.model.spec import ModelSpec
from qcqa.reduce.groups.gram import HeadGram, ModelGrams, gram_of_heads
from qcqa.reduce.groups.objective import WseObjective
from qcqa.search.strategy.problem import Problem

MakeGram = Callable[..., np.ndarray]


@pytest.fixture(scope="session")
def make_gram() -> MakeGram:
    """Return a function that makes the Gram of random heads, round centres if any are asked."""

    def make(num_heads: int, seed: int = 0, *, centres: float = 0.6) -> np.ndarray:
        rng = np.random.default_rng(seed)
        count = max(2, num_heads // 3)
        centre = rng.normal(size=(count, 6, 40))[rng.integers(0, count, num_heads)]
        noise = rng.normal(size=(num_heads, 6, 40))
        size = rng.lognormal(0, 0.2, size=(num_heads, 1, 1))
        return gram_of_heads(((centres * centre + noise) * size).astype(np.float32))

    return make


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


@pytest.fixture(scope="session")
def all_partitions() -> Callable[[int], np.ndarray]:
    """Return a function that lists the labels of every partition, shape (Bell(H), H)."""

    def partitions(num_heads: int) -> np.ndarray:
        rows = [[0]]
        for _ in range(num_heads - 1):
            rows = [[*row, label] for row in rows for label in range(max(row) + 2)]
        return np.array(rows)

    return partitions
