"""How a model calls its decoder layers, recorded from a call of the whole model."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.cache_utils import Cache

from qcqa.errors import EvaluationError

#: Stands in a call where the model's cache stood: families and releases of transformers name that
#: argument differently, so it is told by its type.
_CACHE = object()


@dataclass(frozen=True, slots=True, eq=False)
class LayerCall:
    """What a layer is handed beside its hidden states, and what it returns beside them."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    returns_tuple: bool
    rest: tuple[Any, ...]

    def repeat(self, layer: nn.Module, hidden: Tensor, cache: Cache | None = None) -> Tensor:
        """Return what a layer makes of hidden states when it is called like this.

        Raises
        ------
        EvaluationError
            If the layer is to have a cache and was handed none.
        """
        if cache is not None and not any(argument is _CACHE for argument in self._arguments()):
            raise EvaluationError(
                f"{type(layer).__name__} is handed no cache",
                expected="a family whose layers are handed one",
            )
        args = [cache if argument is _CACHE else argument for argument in self.args]
        kwargs = {name: cache if value is _CACHE else value for name, value in self.kwargs.items()}
        returned = layer(hidden, *args, **kwargs)
        output: Tensor = returned[0] if isinstance(returned, tuple) else returned
        return output

    def _arguments(self) -> Iterator[Any]:
        yield from self.args
        yield from self.kwargs.values()


@torch.no_grad()
def record_calls(
    model: PreTrainedModel,
    layers: Sequence[nn.Module],
    token_ids: Tensor,
    *,
    with_cache: bool,
) -> list[LayerCall]:
    """Return how a model calls its layers.

    Parameters
    ----------
    model : PreTrainedModel
        Called once.
    layers : sequence of Module
        Its decoder layers.
    token_ids : Tensor, shape (B, T)
        What it is called with.
    with_cache : bool
        Whether layers are handed a cache.
    """
    handed: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    calls: list[LayerCall] = []

    def before(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        handed.append((args, kwargs))

    def after(_module: nn.Module, _args: Any, output: Any) -> None:
        args, kwargs = handed[-1]
        args = args if "hidden_states" in kwargs else args[1:]
        kept = {name: _marked(value) for name, value in kwargs.items() if name != "hidden_states"}
        is_tuple = isinstance(output, tuple)
        rest = tuple(map(_marked, output[1:])) if is_tuple else ()
        calls.append(LayerCall(tuple(map(_marked, args)), kept, is_tuple, rest))

    hooks = [layer.register_forward_hook(after) for layer in layers]
    try:
        with hooked(layers, before):
            model(input_ids=token_ids, use_cache=with_cache)
    finally:
        for hook in hooks:
            hook.remove()
    return calls


@contextmanager
def hooked(modules: Sequence[nn.Module], hook: Callable[..., Any]) -> Iterator[None]:
    """Have a hook called before each of some modules, for a while."""
    handles = [module.register_forward_pre_hook(hook, with_kwargs=True) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _marked(argument: Any) -> Any:
    """Return an argument, or the mark in place of a cache: what a cache holds is not kept."""
    return _CACHE if isinstance(argument, Cache) else argument
