"""Second moments of a model on this device: how long they take, and whether they are right."""

from collections.abc import Iterator
from copy import deepcopy
from time import perf_counter

import numpy as np
import torch
from transformers import PreTrainedModel

from gpu_checks.models import build, relative_error
from gpu_checks.parts import Row, checked
from gpu_checks.sizes import Sizes
from qcqa.text.batches import TokenBatch, make_batches
from qcqa.text.moments import second_moments

_BATCH_TOKENS = 4096
#: Single precision through a few layers.
_MOST_ERROR = 1e-4


def random_batches(
    model: PreTrainedModel, num_tokens: int, window_tokens: int, *, batch_tokens: int
) -> list[TokenBatch]:
    """Return a text of random tokens on the model's device; its windows differ in length."""
    rng = np.random.default_rng(0)
    lengths = [window_tokens - place % 2 for place in range(num_tokens // window_tokens)]
    windows = [
        rng.integers(1, model.config.vocab_size, size=length, dtype=np.int32) for length in lengths
    ]
    return make_batches(windows, batch_tokens=batch_tokens, device=model.device)


def moments_are_right(sizes: Sizes, device: torch.device) -> Iterator[Row]:
    """Compare the moments of a small model with those in double precision on the CPU."""
    model = build(sizes.compared, dtype=torch.float32, device=device)
    exact = deepcopy(model).double().cpu()
    found, wanted = (
        list(
            second_moments(
                one,
                random_batches(one, 2 * _BATCH_TOKENS, sizes.window_tokens, batch_tokens=1024),
                with_bias=False,
            )
        )
        for one in (model, exact)
    )
    error = max(relative_error(a, b) for a, b in zip(found, wanted, strict=True))
    figure = f"error {error:.1e}, at most {_MOST_ERROR:.1e}"
    passed = len(found) == sizes.compared.layers and error < _MOST_ERROR
    yield checked("as on the CPU", passed, figure, error=error, limit=_MOST_ERROR)


def moments_take_seconds(sizes: Sizes, device: torch.device) -> Iterator[Row]:
    """Time the moments of a large model."""
    shape = sizes.calibrated
    model = build(shape, dtype=torch.float32, device=device)
    batches = random_batches(
        model, sizes.calibration_tokens, sizes.window_tokens, batch_tokens=_BATCH_TOKENS
    )
    started = perf_counter()
    # One by one, as they are of use: each is on the CPU when it comes.
    is_finite = [
        bool(moment.isfinite().all()) for moment in second_moments(model, batches, with_bias=False)
    ]
    seconds = perf_counter() - started
    yield checked(
        f"{shape.layers} layers of {shape.hidden}",
        is_finite == [True] * shape.layers,
        f"{seconds:.1f} s for {sizes.calibration_tokens} tokens",
        seconds=seconds,
        tokens=sizes.calibration_tokens,
    )
