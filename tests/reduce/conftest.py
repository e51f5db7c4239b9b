"""Random layers of every kind: rotary or not, biases, grouped queries, norms."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from qcqa.model.key_norm import KeyNorm
from qcqa.reduce.groups.subspace.layer import LayerSubspaces, layer_subspaces

HALF = tuple((p, p + 3) for p in range(3))
ADJACENT = tuple((2 * p, 2 * p + 1) for p in range(3))
PARTIAL = ((0, 2), (1, 3))  # dimensions 4 and 5 do not rotate

KINDS: dict[str, dict[str, Any]] = {
    "free": {"planes": ()},
    "half": {"planes": HALF},
    "adjacent": {"planes": ADJACENT},
    "partial": {"planes": PARTIAL},
    "normed": {"planes": HALF, "norm": KeyNorm()},
    "centred": {"planes": PARTIAL, "norm": KeyNorm(is_centred=True)},
    "normed together": {"planes": HALF, "norm": KeyNorm(is_over_all_heads=True)},
    "clipped": {"planes": HALF, "is_clipped": True},
}


@dataclass
class Layer:
    """A layer's weights, inputs and heads."""

    query: np.ndarray
    key: np.ndarray
    value: np.ndarray
    output: np.ndarray
    inputs: np.ndarray  # (samples, e), the constant 1 last
    heads: LayerSubspaces


@pytest.fixture
def make_layer() -> Callable[..., Layer]:
    """Return a maker of layers: 5 KV heads of 6 dimensions, biases, 2 query heads each."""

    def make(kind: str = "half", *, calibrated: bool = True, num_heads: int = 5) -> Layer:
        rng = np.random.default_rng(0)
        size, hidden_size = 6, 20
        query, key, value = (
            rng.standard_normal((heads, size, hidden_size + 1))
            for heads in (2 * num_heads, num_heads, num_heads)
        )
        output = rng.standard_normal((hidden_size, 2 * num_heads, size))
        inputs = rng.standard_normal((300, hidden_size)) @ rng.standard_normal((hidden_size,) * 2)
        inputs = np.pad(inputs + 0.5, ((0, 0), (0, 1)), constant_values=1.0)
        moment = inputs.T @ inputs / len(inputs) if calibrated else None
        heads = layer_subspaces(query, key, value, output, moment=moment, **KINDS[kind])
        return Layer(query, key, value, output, inputs, heads)

    return make
