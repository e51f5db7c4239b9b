"""Between a family's attention and its cache: what is cached of its heads, and what it is given.

An attention goes on with all KV heads of the source, as its code expects. Here they are reduced to
one per group on their way into the cache and copied on their way out. Where a site has a linear
map, that makes the channels that are cached of them, and them of what was cached.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers.cache_utils import Cache, StaticLayer

from .bits_qcqa import Ladder
from .maps_qcqa import SiteMap
from .packed_qcqa import packed_layer
from .selection_qcqa import Selection


@dataclass(frozen=True)
class Sharing:
    """How the heads of one role pass through the cache.

    Parameters
    ----------
    num_stored : int
        Heads that are stored.
    stored : Selection or None
        One of each group, from the heads that the family's code made; None where it made no more.
    given_back : Selection or None
        The stored head of each head that the family's code goes on with; None where they are it.
    ladder : Ladder, optional
        How the tokens of what is cached are packed.
    site_map : SiteMap, optional
        Makes of stored heads the channels that are cached, as of one head.
    """

    num_stored: int
    stored: Selection | None
    given_back: Selection | None
    ladder: Ladder | None = None
    site_map: SiteMap | None = None

    @property
    def num_cached(self) -> int:
        """Heads in the cache."""
        return self.num_stored if self.site_map is None else 1

    def into_cache(self, states: Tensor) -> Tensor:
        """Return what is cached of the heads that the family's code made."""
        stored = _select(self.stored, states)
        return stored if self.site_map is None else self.site_map(stored)

    def out_of_cache(self, states: Tensor) -> Tensor:
        """Return the heads that the family's code goes on with."""
        cached = states[:, : self.num_cached]
        stored = cached if self.site_map is None else self.site_map(cached, back=True)
        return _select(self.given_back, stored)


class SharedCache:
    """A layer's view of a model's cache: heads go in and come out, one per group is kept.

    Parameters
    ----------
    of_model : transformers.Cache
        The cache of the whole model.
    layer : int
        Number of the layer.
    key, value : Sharing
        Of this layer.
    """

    def __init__(self, of_model: Cache, layer: int, key: Sharing, value: Sharing):
        self._of_model = of_model
        self._layer = layer
        self._roles = (key, value)

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Store one head per group; return all heads, with those of earlier tokens.

        Parameters
        ----------
        key_states, value_states : Tensor, shape (batch, heads, tokens, dh)
            Of the new tokens.

        Raises
        ------
        ValueError
            If the cache holds tokens of another model, or cannot pack any.
        """
        key, value = self._roles
        if key.ladder or value.ladder:
            packed = packed_layer(self._of_model, self._layer, key.ladder, value.ladder)
            # A measurement wants to see what is stored.
            packed.answers_with_stored = getattr(self._of_model, "answers_with_stored", False)
        cached = key.into_cache(key_states), value.into_cache(value_states)
        cached = self._as_allocated(*cached)
        keys, values = self._of_model.update(*cached, *args, **kwargs)
        return key.out_of_cache(keys), value.out_of_cache(values)

    def _as_allocated(self, key_states: Tensor, value_states: Tensor) -> tuple[Tensor, Tensor]:
        """Return the states with as many heads as the cache has room for, which it gets if new."""
        layers = self._of_model.layers
        of_layer: Any = layers[self._layer] if self._layer < len(layers) else None
        if isinstance(of_layer, StaticLayer):
            if not of_layer.is_initialized:
                _allocate(of_layer, key_states, value_states)
                return key_states, value_states
            allocations: tuple[Any, Any] = (of_layer.keys, of_layer.values)
            for allocated, states in zip(allocations, (key_states, value_states), strict=True):
                if allocated.shape[-1] != states.shape[-1]:
                    raise ValueError(
                        f"layer {self._layer} of the static cache has room for "
                        f"{allocated.shape[-1]} dimensions of a head; expected {states.shape[-1]}; "
                        "let the converted model allocate it in its first call"
                    )
            # Who allocated it by the config alone gave it the source's heads; the last stay empty.
            return _like(of_layer.keys, key_states), _like(of_layer.values, value_states)
        keys: Any = getattr(of_layer, "keys", None)
        if not isinstance(keys, Tensor) or keys.ndim != 4:
            return key_states, value_states
        if keys.shape[1] != key_states.shape[1]:
            raise ValueError(
                f"layer {self._layer} of the cache holds {keys.shape[1]} key heads; expected "
                f"{key_states.shape[1]}, which share; make the cache, or the prefix, with the "
                "converted model"
            )
        if keys.shape[-1] != key_states.shape[-1]:
            raise ValueError(
                f"layer {self._layer} of the cache holds {keys.shape[-1]} dimensions of a key; "
                f"expected {key_states.shape[-1]}; make the cache, or the prefix, with the "
                "converted model"
            )
        return key_states, value_states

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # when it is copied it has no cache to ask yet
            raise AttributeError(name)
        return getattr(self._of_model, name)


def _allocate(static: StaticLayer, key_states: Tensor, value_states: Tensor) -> None:
    """Allocate a layer of a static cache; its own code takes the keys' number of heads for both."""
    static.lazy_initialization(key_states, value_states)
    batch_size, num_heads, _, head_dim = value_states.shape
    static.values = value_states.new_zeros((batch_size, num_heads, static.max_cache_len, head_dim))
    if not torch.compiler.is_compiling():
        torch._dynamo.mark_static_address(static.values)


def _like(allocated: Any, states: Tensor) -> Tensor:
    missing = allocated.shape[1] - states.shape[1]
    return pad(states, (0, 0, 0, 0, 0, missing)) if missing else states


def _select(selection: Selection | None, states: Tensor) -> Tensor:
    return states if selection is None else selection(states)
