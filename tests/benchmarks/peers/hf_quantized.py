"""The quantized cache of transformers (``QuantizedCache``), with the backends that it has.

Integers with a scale and a zero point for groups of 64 neighbouring numbers, and the newest tokens
in full, after KIVI (arXiv 2402.02750); the axes are those that its documentation advises for each
backend. The window is not its default of 128 tokens but 32, as this package's: of windows of 512
tokens, the default would leave a fifth as it is.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel, QuantizedCache
from transformers.cache_utils import Cache

from qcqa.model.spec import ModelSpec
from qcqa.reduce.stored import COST_CONTEXT
from qcqa.text.running import cache_argument
from qcqa.text.through_cache import PIECE_TOKENS
from tests.benchmarks.peers.ground import Ground, Made, NoneFitsError, Peer, copy_beside

_WINDOW = 32
_GROUP = 64
#: Bits, and the axis, by backend; in 3 bits hqq 0.2.8 fails to unpack states of most lengths.
_BACKENDS = {"hqq": ((8, 4, 2), 1), "quanto": ((4, 2), 0)}

#: From a model's config to an empty cache.
MakeCache = Callable[[PreTrainedConfig], Cache]


def quantized_cache(config: PreTrainedConfig, backend: str, width: int) -> Cache:
    """Return an empty cache.

    Raises
    ------
    ImportError
        If the backend is not installed.
    """
    axis = _BACKENDS[backend][1]
    return QuantizedCache(
        backend,
        config,
        nbits=width,
        axis_key=axis,
        axis_value=axis,
        q_group_size=_GROUP,
        residual_length=_WINDOW,
    )


def held_bits(config: PreTrainedConfig, spec: ModelSpec, empty: MakeCache, tokens: int) -> int:
    """Return the bits of all tensors of a cache of one sequence, scales and window included.

    The window, which fills and empties, is half full.

    Parameters
    ----------
    config : PreTrainedConfig
        The model's.
    spec : ModelSpec
        Its geometry.
    empty : callable
        From the config to an empty cache.
    tokens : int
        Tokens of the sequence.
    """
    cache, dtype = empty(config), getattr(torch, spec.dtype)
    drawn = torch.Generator().manual_seed(0)
    in_window = min(_WINDOW // 2, tokens - 1)
    for count in (tokens - in_window, in_window):
        states = torch.randn(1, spec.num_kv_heads, count, spec.head_dim, generator=drawn)
        cache.update(states.to(dtype), states.to(dtype), 0)
    layer = cache.layers[0]
    held = (layer.keys, layer.values, layer._quantized_keys, layer._quantized_values)
    storages = {
        tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes()
        for tensor in _tensors(held)
        if tensor.numel()
    }
    return 8 * spec.num_layers * sum(storages.values())


def _tensors(held: Any) -> Iterator[Tensor]:
    """Yield the plain tensors of what a backend keeps: tuples, mappings, tensors of its own."""
    if isinstance(held, dict):
        held = tuple(held.values())
    if isinstance(held, tuple | list):
        for part in held:
            yield from _tensors(part)
    elif hasattr(held, "__tensor_flatten__"):
        for name in held.__tensor_flatten__()[0]:
            yield from _tensors(getattr(held, name))
    elif isinstance(held, Tensor):
        yield held


def behind(model: PreTrainedModel, empty: MakeCache) -> PreTrainedModel:
    """Return a copy of a model that begins with such a cache where it is handed none."""
    copy, argument = copy_beside(model), cache_argument()

    def hand_over(
        _module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if kwargs.get("use_cache") and kwargs.get(argument) is None:
            kwargs = {**kwargs, argument: empty(model.config)}
        return args, kwargs

    copy.register_forward_pre_hook(hand_over, with_kwargs=True)
    return copy


def make(ground: Ground, ratio: float, backend: str) -> Made:
    """Return the source behind the cache of most bits that fits."""
    config, spec = ground.source.config, ground.spec
    for width in _BACKENDS[backend][0]:
        empty = partial(quantized_cache, backend=backend, width=width)
        bits = partial(held_bits, config, spec, empty)
        try:
            if bits(COST_CONTEXT) <= ratio * spec.kv_bits * COST_CONTEXT:
                model = behind(ground.source, empty)
                return Made(model, bits, piece_tokens=PIECE_TOKENS, note=f"{width} bits")
        except ImportError as error:
            raise NoneFitsError(f"{backend} is not installed") from error
    raise NoneFitsError(f"{width} bits are the fewest")


PEERS = tuple(
    Peer(f"hf-{name}", f"HF quantized cache, {name}", lambda g, r, name=name: make(g, r, name))
    for name in _BACKENDS
)
