"""Between a family's attention and its cache: heads of a group are stored once.

An attention goes on with all KV heads of the source, as its code expects. Here they are reduced to
one per group on their way into the cache and copied on their way out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.cache_utils import StaticLayer


class Selection:
    """Picks entries of one dimension by number; the index follows its tensor from device to device.

    It is no buffer, because ``from_pretrained`` leaves those of an unknown kind without content.

    Parameters
    ----------
    entries : sequence of int
        The entry that stands at each place of the result.
    dim : int
        The dimension.
    """

    def __init__(self, entries: Sequence[int], dim: int):
        self._entries = list(entries)
        self._dim = dim
        self._index: dict[torch.device, Tensor] = {}

    def __call__(self, states: Tensor) -> Tensor:
        """Return the picked entries."""
        if torch.compiler.is_compiling():
            return states.index_select(self._dim, torch.tensor(self._entries, device=states.device))
        index = self._index.get(states.device)
        if index is None:
            # An index made in inference mode could not serve a backward pass later.
            with torch.inference_mode(False):
                index = torch.tensor(self._entries, device=states.device)
            self._index[states.device] = index
        return states.index_select(self._dim, index)


@dataclass(frozen=True)
class Sharing:
    """How the heads of one role pass through the cache.

    Parameters
    ----------
    stored : Selection or None
        One of each group, from the heads that the model's code made; None where it made no more.
    given_back : Selection or None
        The stored head of each head that the model's code goes on with; None where they are it.
    """

    stored: Selection | None
    given_back: Selection | None

    @property
    def is_trivial(self) -> bool:
        """Whether heads pass as they are."""
        return self.stored is None and self.given_back is None


class SharedCache:
    """A layer's view of its cache: heads go in and come out, one per group is kept.

    Parameters
    ----------
    of_model : transformers.Cache or None
        The cache of the whole model; None where none is kept, as in training.
    key, value : Sharing
        Of this layer.
    """

    def __init__(self, of_model: Any, key: Sharing, value: Sharing):
        self._of_model = of_model
        self._key = key
        self._value = value

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Store one head per group; return all heads, with those of earlier tokens.

        Parameters
        ----------
        key_states, value_states : Tensor, shape (batch, heads, tokens, dh)
            Of the new tokens.
        """
        stored = _select(self._key.stored, key_states), _select(self._value.stored, value_states)
        if self._of_model is not None:
            _allocate_static_layer(self._of_model, *stored, *args)
            stored = self._of_model.update(*stored, *args, **kwargs)
        return (
            _select(self._key.given_back, stored[0]),
            _select(self._value.given_back, stored[1]),
        )

    def get_seq_length(self, *args: Any) -> int:
        """Return the number of stored tokens."""
        return 0 if self._of_model is None else int(self._of_model.get_seq_length(*args))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._of_model, name)


def _allocate_static_layer(
    of_model: Any, key_states: Tensor, value_states: Tensor, layer: int, *_args: Any
) -> None:
    """Allocate a layer of a static cache; its own code takes the keys' number of heads for both."""
    layers = getattr(of_model, "layers", ())
    static = layers[layer] if layer < len(layers) else None
    if not isinstance(static, StaticLayer) or static.is_initialized:
        return
    static.lazy_initialization(key_states, value_states)
    batch_size, num_heads, _, head_dim = value_states.shape
    static.values = value_states.new_zeros((batch_size, num_heads, static.max_cache_len, head_dim))
    if not torch.compiler.is_compiling():
        torch._dynamo.mark_static_address(static.values)


def _select(selection: Selection | None, states: Tensor) -> Tensor:
    return states if selection is None else selection(states)


@dataclass(frozen=True)
class SpreadRows:
    """Forward hook of a projection: gives the output that the family's code expects.

    Parameters
    ----------
    rows : Selection
        The stored row of each row of the source's projection.
    """

    rows: Selection

    def __call__(self, _projection: nn.Module, _args: Any, output: Tensor) -> Tensor:
        """Return the output with a copy of a shared head for each head of its group."""
        return self.rows(output)


@dataclass(frozen=True)
class GiveSharedCache:
    """Forward pre-hook of an attention: puts a :class:`SharedCache` before its cache.

    Without a cache too, so that heads of a group stay equal in training, whatever comes between
    projection and cache.

    Parameters
    ----------
    argument : str
        The attention's argument that is the cache.
    key, value : Sharing
        Of the layer.
    """

    argument: str
    key: Sharing
    value: Sharing

    def __call__(
        self, _attention: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments with the cache replaced."""
        shared = SharedCache(kwargs.get(self.argument), self.key, self.value)
        return args, {**kwargs, self.argument: shared}
