"""Grams of a whole model whose heads cluster, more so in later layers."""

from collections.abc import Callable

import numpy as np
import pytest

from qcqa.model.spec import ModelSpec
from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.groups.earlier import site_of_labels
from qcqa.reduce.groups.gram import HeadGram, ModelGrams, gram_of_heads
from qcqa.search.front import LayerCandidates


@pytest.fixture(scope="session")
def layer_of() -> Callable[..., LayerCandidates]:
    """Return a function that makes a layer's candidates from labels of keys and of values."""

    def make(
        key: list[list[int]],
        value: list[list[int]],
        error: list[float],
        *,
        head_bits: int = 64,
    ) -> LayerCandidates:
        sites = zip(map(site_of_labels, key), map(site_of_labels, value), strict=True)
        choices = tuple(LayerChoice(*both) for both in sites)
        heads = [choice.picture(len(key[0])).num_stored_heads for choice in choices]
        return LayerCandidates(
            num_heads=len(key[0]),
            choices=choices,
            cost=head_bits * np.array(heads),
            error=np.array(error, dtype=float),
        )

    return make


@pytest.fixture(scope="session")
def make_grams() -> Callable[..., ModelGrams]:
    """Return a function that makes a model's Grams from seeded noise and planted clusters."""

    def make(num_layers: int, num_heads: int, *, seed: int = 0, noise: float = 1.0) -> ModelGrams:
        rng = np.random.default_rng(seed)
        # as many heads in each cluster, neighbours in different ones
        cluster = np.arange(num_heads) % max(1, num_heads // 4)

        def gram(strength: float) -> np.ndarray:
            centre = strength * rng.normal(size=(num_heads, 6, 40))[cluster]
            heads = centre + noise * rng.normal(size=(num_heads, 6, 40))
            return gram_of_heads(heads.astype(np.float32))

        strengths = np.linspace(0.2, 1, num_layers)
        layers = tuple(HeadGram(key=gram(s), value=gram(s)) for s in strengths)
        spec = ModelSpec(
            source="planted",
            revision=None,
            model_type="llama",
            num_layers=num_layers,
            num_query_heads=num_heads,
            num_kv_heads=num_heads,
            head_dim=6,
            hidden_size=40,
            has_kv_bias=False,
            dtype="bfloat16",
        )
        return ModelGrams(spec=spec, fingerprint="0" * 16, layers=layers)

    return make
