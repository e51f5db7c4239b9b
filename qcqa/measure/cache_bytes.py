"""Bytes that a live KV cache holds, counted on its tensors."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import Cache

from qcqa.errors import EvaluationError
from qcqa.text.running import (
    cache_of,
    context_limit,
    evaluating,
    generating_options,
    input_device,
)

#: Of the prompt whose cache is counted: few, so that no sliding window drops any of them.
_PROMPT_TOKENS = 8


def cache_bytes_per_token(model: PreTrainedModel) -> float:
    """Return the bytes that a model's KV cache holds per token of one sequence, after a prompt.

    Parameters
    ----------
    model : PreTrainedModel
        Source or converted, on any device; it is run once.

    Raises
    ------
    EvaluationError
        As :func:`cache_bytes`.
    """
    tokens = prompt_tokens(model)
    return cache_bytes_after(model, tokens) / tokens


def prompt_tokens(model: PreTrainedModel, *, longest: int = 0) -> int:
    """Return the tokens of a prompt of which a model caches all.

    Parameters
    ----------
    model : PreTrainedModel
        Source or converted.
    longest : int
        So many, if there is room, but never less than a few.
    """
    window = getattr(model.config.get_text_config(), "sliding_window", None)
    # A window keeps one token less than it spans.
    limits = (max(_PROMPT_TOKENS, longest), context_limit(model), window - 1 if window else None)
    return max(1, min(limit for limit in limits if limit is not None))


def cache_bytes_after(model: PreTrainedModel, tokens: int, *, batch_size: int = 1) -> int:
    """Return the bytes that a model's KV cache holds after a prompt.

    Parameters
    ----------
    model : PreTrainedModel
        Source or converted, on any device; it is run once.
    tokens : int
        Length of the prompt.
    batch_size : int
        Sequences.

    Raises
    ------
    EvaluationError
        As :func:`cache_bytes`.
    """
    ids = torch.zeros((batch_size, tokens), dtype=torch.long, device=input_device(model))
    with evaluating(model):
        output = model(
            input_ids=ids, attention_mask=torch.ones_like(ids), **generating_options(model)
        )
    return cache_bytes(cache_of(output))


def cache_bytes(cache: Cache) -> int:
    """Return the bytes of the memory behind all keys and values of a cache, packed or not.

    Layers may have any number of heads, and keys and values may differ in theirs. What counts is
    the memory that is held, not the shape that is seen: a layer that shows only its last tokens
    but keeps all counts in full, and memory that two tensors share counts once.

    Parameters
    ----------
    cache : Cache
        Of a model that has run.

    Raises
    ------
    EvaluationError
        If nothing is in the cache, or it keeps its content elsewhere than in keys and values.
    """
    storages = {
        (tensor.device, storage.data_ptr()): storage.nbytes()
        for tensor in _tensors(cache)
        for storage in [tensor.untyped_storage()]
    }
    if not storages:
        raise EvaluationError(
            f"a {type(cache).__name__} without keys and values",
            expected="the cache of a model that has run",
        )
    return sum(storages.values())


def _tensors(cache: Cache) -> Iterable[Tensor]:
    for layer in cache.layers:
        held: Any = (getattr(layer, "keys", None), getattr(layer, "values", None))
        # A packed layer has more; a model that brings its code along has a class of it for itself.
        if callable(getattr(layer, "tensors", None)):
            held = layer.tensors()  # type: ignore[union-attr]  # asked just above
        yield from (tensor for tensor in held if isinstance(tensor, Tensor) and tensor.numel())
