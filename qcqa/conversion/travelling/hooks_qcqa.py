"""What is hooked onto a family's attention, so that its own code runs with heads that share.

No name of an argument is known here: a cache is told by its type, wherever it stands in a call, and
where there is none nothing has to be changed, as projection and norm give all heads already.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache, StaticLayer

from .cache_qcqa import SharedCache, Sharing
from .maps_qcqa import SiteMap
from .packed_qcqa import PackedLayer
from .releases_qcqa import SUPPORTED
from .selection_qcqa import Selection


@dataclass(frozen=True)
class Mapped:
    """Heads of a projection that its output is to have as their map keeps them.

    Training may move the projection's weights out of what a map keeps, and a cache has no more.

    Parameters
    ----------
    site_map : SiteMap
        Of these heads.
    first, stop : int
        Which of the stored heads they are.
    """

    site_map: SiteMap
    first: int
    stop: int

    def __call__(self, heads: Tensor) -> Tensor:
        """Return a projection's stored heads (..., heads, dh), these of them mapped and back."""
        before, mapped, after = heads.tensor_split((self.first, self.stop), dim=-2)
        states = mapped.flatten(0, -3).transpose(0, 1).unsqueeze(0)  # (1, H, tokens, dh)
        states = self.site_map(self.site_map(states), back=True)
        mapped = states[0].transpose(0, 1).reshape(mapped.shape)
        return torch.cat((before, mapped, after), dim=-2)


@dataclass(frozen=True)
class Spread:
    """Forward hook of a projection or a norm: hands each shared head to every head of its group.

    Parameters
    ----------
    heads : Selection or None
        For each head of the output that the family's code expects, the one that it equals; None
        where they are stored as it expects them.
    head_dim : int, optional
        Dimensions of a head, where those of all heads lie in one; they are taken apart meanwhile,
        as picking whole heads is many times faster than picking rows.
    mapped : tuple of Mapped
        The stored heads that are cached through a map.
    """

    heads: Selection | None
    head_dim: int | None = None
    mapped: tuple[Mapped, ...] = ()

    def __call__(self, _module: nn.Module, _args: Any, output: Tensor) -> Tensor:
        """Return the output with all heads."""
        if self.head_dim is None:
            return output if self.heads is None else self.heads(output)
        apart = output.reshape(*output.shape[:-1], -1, self.head_dim)
        for mapped in self.mapped:
            apart = mapped(apart)
        return (apart if self.heads is None else self.heads(apart)).flatten(-2)


@dataclass(frozen=True)
class SharedHeads:
    """Forward pre-hook of an attention: its projections give all heads, its cache keeps the shared.

    Parameters
    ----------
    layer : int
        Number of the layer.
    key, value : Sharing
        Of the layer.
    projections : mapping of str to Spread
        By the name of the attention's submodule, where the family's code wants all heads.
    """

    layer: int
    key: Sharing
    value: Sharing
    projections: Mapping[str, Spread]

    def __call__(
        self, attention: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments with the cache replaced by this layer's view of it."""
        for name, spread in self.projections.items():
            _keep_hooked(attention.get_submodule(name), spread)
        return (
            tuple(self._seen(argument) for argument in args),
            {name: self._seen(argument) for name, argument in kwargs.items()},
        )

    def _seen(self, argument: Any) -> Any:
        if isinstance(argument, Cache):
            return SharedCache(argument, self.layer, self.key, self.value)
        return argument


def _keep_hooked(projection: nn.Module, spread: Spread) -> None:
    """Put the hook on a projection that took the hooked one's place, as in quantizing.

    An adapter wraps the projection and adds its own rows, as few: what is hooked inside goes.
    """
    if _hooks(projection):
        return
    for module in projection.modules():
        for number in _hooks(module):
            del module._forward_hooks[number]
    projection.register_forward_hook(spread)


def _hooks(module: nn.Module) -> list[int]:
    return [number for number, hook in module._forward_hooks.items() if isinstance(hook, Spread)]


@dataclass(frozen=True)
class CountedHeads:
    """Forward hook of a model: refuses a cache that holds more than the heads that are shared.

    A release of transformers that hands caches on in a way that is not seen here would fill them
    with all heads, and in full precision, and nobody would know.

    Parameters
    ----------
    num_cached : sequence of (int, int or None)
        Key heads in the cache of each layer and, where they are others than the family's, their
        dimensions.
    packed : container of int
        Layers whose keys or values are packed.
    """

    num_cached: Sequence[tuple[int, int | None]]
    packed: Container[int] = ()

    def __call__(self, _model: nn.Module, _args: Any, output: Any) -> None:
        """Look at the caches in a model's output.

        Raises
        ------
        RuntimeError
            If one holds other numbers of heads, or tokens that are to be packed.
        """
        if torch.compiler.is_compiling() or not isinstance(output, Mapping):
            return
        for cache in output.values():
            if not isinstance(cache, Cache):
                continue
            for number, (layer, (expected, width)) in enumerate(
                zip(cache.layers, self.num_cached, strict=False)
            ):
                keys: Any = getattr(layer, "keys", None)
                # A static layer may have been allocated elsewhere, by the config alone.
                is_known = isinstance(keys, Tensor) and keys.ndim == 4
                if is_known and number in self.packed and not isinstance(layer, PackedLayer):
                    raise RuntimeError(
                        f"layer {number} cached all its bits, where fewer are kept: this release "
                        f"of transformers is not known; expected {SUPPORTED}"
                    )
                if is_known and keys.shape[1] != expected and not isinstance(layer, StaticLayer):
                    raise RuntimeError(
                        f"layer {number} cached {keys.shape[1]} heads, where {expected} are shared:"
                        f" this release of transformers is not known; expected {SUPPORTED}"
                    )
                if is_known and width is not None and keys.shape[-1] != width:
                    raise RuntimeError(
                        f"layer {number} cached {keys.shape[-1]} dimensions of a key, where a map "
                        f"makes {width}: this release of transformers is not known; expected "
                        f"{SUPPORTED}"
                    )
