"""A causal language model as the chain of its decoder layers, whatever its family.

A layer is called as the model itself calls it: positions, masks and all else that it is handed are
taken from a call of the whole model, once for every shape of a batch.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.cache_utils import Cache

from qcqa.conversion.names import attention_names
from qcqa.text.layer_calls import LayerCall, hooked, record_calls

#: Hidden states that differ by less, relatively, are the same but for rounding.
_SAME = 1e-3


class _ReachedError(Exception):
    """Ends a call of the model when all that is wanted has come by."""


@dataclass(frozen=True, slots=True, eq=False)
class Attended:
    """What a layer's attention makes of hidden states.

    Parameters
    ----------
    read : Tensor, shape (B, T, n)
        What its output projection reads: outputs of all heads.
    output : Tensor, shape (B, T, d)
        What that makes of them.
    """

    read: Tensor
    output: Tensor


class Decoder:
    """The decoder layers of a model.

    Parameters
    ----------
    model : PreTrainedModel
        Source or converted, of a family that the reader knows.

    Raises
    ------
    CheckpointError
        If its family is unknown.
    """

    def __init__(self, model: PreTrainedModel):
        self.model = model
        names = attention_names(model)
        self.layers: list[nn.Module] = [model.get_submodule(name) for name in names.layers]
        self._projections = names.projections
        self._calls: dict[tuple[int, int, bool], list[LayerCall]] = {}

    @property
    def num_layers(self) -> int:
        """Decoder layers, ``L``."""
        return len(self.layers)

    def reader(self, layer: int) -> nn.Module:
        """Return the projection that makes a layer's keys: it reads the attention's input."""
        names = self._projections[layer]
        return self.model.get_submodule(names.get("key") or names["fused"])

    def output_projection(self, layer: int) -> nn.Module:
        """Return the projection that takes a layer's heads back to the hidden size."""
        return self.model.get_submodule(self._projections[layer]["output"])

    def attention_parameters(self, layer: int) -> list[nn.Parameter]:
        """Return weights and biases of a layer's projections."""
        modules = [self.model.get_submodule(name) for name in self._projections[layer].values()]
        return [parameter for module in modules for parameter in module.parameters()]

    @torch.no_grad()
    def embed(self, token_ids: Tensor) -> Tensor:
        """Return the hidden states that the first layer is handed, shape (B, T, d)."""
        found: list[Tensor] = []

        def stop(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> NoReturn:
            found.append(_hidden(args, kwargs))
            raise _ReachedError

        with hooked(self.layers[:1], stop), suppress(_ReachedError):
            self.model(input_ids=token_ids, use_cache=False)
        # Now, so that hooks which watch a step see nothing but the step.
        self._calls_for(found[0])
        return found[0]

    def step(
        self,
        layer: int,
        hidden: Tensor,
        *,
        by: "Decoder | None" = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """Return what a layer makes of hidden states, shape (B, T, d).

        Parameters
        ----------
        layer : int
            Number of the layer.
        hidden : Tensor, shape (B, T, d)
            What it is handed.
        by : Decoder, optional
            Of a model whose layer is to be used instead, such as the converted one.
        cache : Cache, optional
            Empty; the layer attends to the keys and values that this hands back.

        Raises
        ------
        EvaluationError
            If there is a cache, and the family's layers are handed none.
        """
        call = self._calls_for(hidden, with_cache=cache is not None)[layer]
        return call.repeat((by or self).layers[layer], hidden, cache)

    def attend(
        self,
        layer: int,
        hidden: Tensor,
        *,
        by: "Decoder | None" = None,
        cache: Cache | None = None,
    ) -> Attended:
        """Return what a layer's attention makes of hidden states (B, T, d); no more is computed.

        Parameters
        ----------
        layer, hidden, by, cache
            As :meth:`step` takes them.

        Raises
        ------
        EvaluationError
            As :meth:`step`.
        """
        found: list[Attended] = []
        # Now, so that it is not the model's own call that is stopped.
        self._calls_for(hidden, with_cache=cache is not None)

        def stop(_module: nn.Module, args: tuple[Any, ...], output: Tensor) -> NoReturn:
            shape = hidden.shape[:2]
            found.append(Attended(args[0].reshape(*shape, -1), output.reshape(*shape, -1)))
            raise _ReachedError

        handle = (by or self).output_projection(layer).register_forward_hook(stop)
        try:
            with suppress(_ReachedError):
                self.step(layer, hidden, by=by, cache=cache)
        finally:
            handle.remove()
        return found[0]

    @torch.no_grad()
    def adds_attention(self, layer: int, hidden: Tensor) -> bool:
        """Return whether a layer adds its attention's output to what it is handed, and reads both.

        So that what one of them lacks the other makes good. Not so where the output is normalised
        first, or feed-forward parts read beside the attention.

        Parameters
        ----------
        layer : int
            Number of the layer.
        hidden : Tensor, shape (B, T, d)
            What it is handed.
        """
        output = self.attend(layer, hidden).output
        moved = hidden.roll(1, dims=1)

        def instead(_module: nn.Module, _args: tuple[Any, ...], made: Tensor) -> Tensor:
            return (output + hidden - moved).reshape(made.shape)

        handle = self.output_projection(layer).register_forward_hook(instead)
        try:
            got = self.step(layer, moved)
        finally:
            handle.remove()
        wanted = self.step(layer, hidden)
        return bool((got - wanted).norm() < _SAME * wanted.norm())

    @torch.no_grad()
    def logits_after(self, layer: int, hidden: Tensor) -> Tensor:
        """Return the model's logits (B, T, V) from what a layer has returned."""
        calls = self._calls_for(hidden)
        kept = [(module, module.forward) for module in self.layers[: layer + 1]]
        for (module, _), call in zip(kept, calls, strict=False):
            module.forward = _constant((hidden, *call.rest) if call.returns_tuple else hidden)
        try:
            token_ids = torch.zeros(hidden.shape[:2], dtype=torch.long, device=hidden.device)
            logits: Tensor = self.model(input_ids=token_ids, use_cache=False).logits
        finally:
            for module, _ in kept:
                del module.forward
        return logits

    def _calls_for(self, hidden: Tensor, *, with_cache: bool = False) -> list[LayerCall]:
        """Return how the model calls its layers for a batch of this shape."""
        batch_size, num_tokens = hidden.shape[:2]
        asked = (batch_size, num_tokens, with_cache)
        if asked not in self._calls:
            token_ids = torch.zeros(hidden.shape[:2], dtype=torch.long, device=hidden.device)
            self._calls[asked] = record_calls(
                self.model, self.layers, token_ids, with_cache=with_cache
            )
        return self._calls[asked]


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Let no parameter of a model want a gradient for a while, and no dropout happen."""
    wanted = [parameter for parameter in model.parameters() if parameter.requires_grad]
    was_training = model.training
    model.train(False)
    for parameter in wanted:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        model.train(was_training)
        for parameter in wanted:
            parameter.requires_grad_(True)


def _constant(value: Any) -> Callable[..., Any]:
    return lambda *_args, **_kwargs: value


def _hidden(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    hidden: Tensor = kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]
    return hidden
