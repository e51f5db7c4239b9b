"""Grams of random heads, some of which are alike."""

from collections.abc import Callable

import numpy as np
import pytest

from qcqa.gram import gram_of_heads

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
