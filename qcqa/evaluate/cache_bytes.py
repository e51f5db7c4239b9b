"""Bytes that a live KV cache holds, counted on its tensors."""

from collections.abc import Iterable

from torch import Tensor
from transformers.cache_utils import Cache

from qcqa.errors import EvaluationError


def cache_bytes(cache: Cache) -> int:
    """Return the bytes of the memory behind all keys and values of a cache.

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
        for tensor in (getattr(layer, "keys", None), getattr(layer, "values", None)):
            if isinstance(tensor, Tensor) and tensor.numel():
                yield tensor
