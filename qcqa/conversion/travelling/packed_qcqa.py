"""A layer of a cache that keeps all but its newest tokens as packed integers.

Nothing is kept decoded: each call unpacks what it attends to, straight into the tensor that it
returns, so that one layer at a time is there in full.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedConfig
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from .bits_qcqa import Ladder
from .blocks_qcqa import Blocks, hadamard, pack, unpack


class PackedTokens:
    """The packed tokens of the keys, or of the values, of a layer.

    Parameters
    ----------
    ladder : Ladder
        How they are packed.
    role : {"key", "value"}
        Which they are.
    """

    def __init__(self, ladder: Ladder, role: str):
        self._ladder = ladder
        self._group = None if role == "key" else ladder.group
        self._rungs: list[Blocks | None] = [None] * len(ladder.rungs)

    def __len__(self) -> int:
        return self._ladder.block * sum(len(rung) for rung in self._rungs if rung is not None)

    def tensors(self) -> Iterator[Tensor]:
        """Yield all that is held."""
        for rung in self._rungs:
            yield from rung.tensors if rung is not None else ()

    def change(self, change: Callable[[Tensor], Tensor]) -> None:
        """Put other tensors in the places of those that are held."""
        self._rungs = [
            None if rung is None else rung.with_tensors([change(tensor) for tensor in rung.tensors])
            for rung in self._rungs
        ]

    @torch.no_grad()
    def take(self, full: Tensor) -> Tensor:
        """Pack what is older than the window; return the rest.

        Parameters
        ----------
        full : Tensor, shape (batch, heads, tokens, dh)
            All tokens that are not packed.
        """
        block, head_dim = self._ladder.block, full.shape[-1]
        number = self._ladder.num_packed(len(self) + full.shape[-2]) - len(self) // block
        if number <= 0:  # fewer than are packed already, where tokens were taken back
            return full
        if self._group is not None:
            self._ladder.require(head_dim)
        older = full[:, :, : number * block].float()
        if self._ladder.rotated:
            older = older @ hadamard(head_dim, older.device)
        self._push(_in_blocks(older, block))
        return full[:, :, number * block :].clone()

    def read(self, full: Tensor) -> Tensor:
        """Return all tokens, the packed ones before those in full precision."""
        if not len(self):
            return full
        batch, heads, tokens, head_dim = full.shape
        states = full.new_empty((batch, heads, len(self) + tokens, head_dim))
        start = 0
        for rung in reversed(self._rungs):
            if rung is not None:
                stop = start + len(rung) * self._ladder.block
                self._unpack(rung, states[:, :, start:stop])
                start = stop
        states[:, :, start:] = full
        return states

    def crop(self, tokens: int, full: Tensor) -> Tensor:
        """Keep the first tokens alone; return those of them that are not packed.

        A block that is cut into is unpacked: what is left of it lies with the newest tokens.
        """
        if tokens >= len(self):
            return full[:, :, : tokens - len(self)].clone()
        left, rest = divmod(tokens, self._ladder.block)
        newest = full.new_empty((*full.shape[:2], self._ladder.block, full.shape[-1]))
        is_cut = False
        for number in reversed(range(len(self._rungs))):
            rung = self._rungs[number]
            if rung is None:
                continue
            stays = min(left, len(rung))
            if stays < len(rung) and not is_cut:
                self._unpack(rung[stays : stays + 1], newest)
                is_cut = True
            self._rungs[number] = rung[:stays] if stays else None
            left -= stays
        return newest[:, :, :rest].clone()

    def _push(self, states: Tensor) -> None:
        """Lay blocks on the first rung, and what is too much for a rung on the next."""
        for number, (bits, room) in enumerate(self._ladder.rungs):
            newer, held = pack(states, bits, self._group), self._rungs[number]
            held = newer if held is None else held.followed_by(newer)
            extra = 0 if room is None else max(0, len(held) - room)
            self._rungs[number] = held[extra:] if extra else held
            if not extra:
                return
            # They stay rotated, if they are.
            room_for = (*states.shape[:2], extra, *states.shape[3:])
            states = unpack(held[:extra], states.new_empty(room_for))

    @torch.no_grad()
    def _unpack(self, blocks: Blocks, out: Tensor) -> None:
        head_dim = out.shape[-1]
        rotation = hadamard(head_dim, out.device) if self._ladder.rotated else None
        unpack(blocks, _in_blocks(out, self._ladder.block), rotation)


class PackedLayer(DynamicLayer):  # type: ignore[no-untyped-call]  # transformers does not type it
    """A layer of a cache whose keys, values or both are packed, but for the newest tokens.

    A call gets the tokens of earlier calls as they are stored, and its own in full precision.

    Parameters
    ----------
    key, value : Ladder or None
        None where nothing is packed.
    """

    #: Whether a call gets its own tokens, too, as they are stored by its end.
    answers_with_stored = False

    def __init__(self, key: Ladder | None, value: Ladder | None):
        super().__init__()  # type: ignore[no-untyped-call]  # transformers does not type it
        self.ladders = (key, value)
        self._forget()

    def _forget(self) -> None:
        names = ("keys", "key", self.ladders[0]), ("values", "value", self.ladders[1])
        self._packed = {
            name: None if ladder is None else PackedTokens(ladder, role)
            for name, role, ladder in names
        }

    def update(
        self, key_states: Tensor, value_states: Tensor, *_args: Any, **_kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Store the tokens of a call; return all."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        return self._updated("keys", key_states), self._updated("values", value_states)

    def _updated(self, name: str, states: Tensor) -> Tensor:
        full, packed = torch.cat([getattr(self, name), states], dim=-2), self._packed[name]
        states = full
        if packed is not None and self.answers_with_stored:
            full = packed.take(full)
            states = packed.read(full)
        elif packed is not None:
            states = packed.read(full)
            full = packed.take(full)
        setattr(self, name, full)
        return states

    def tensors(self) -> Iterator[Tensor]:
        """Yield every tensor that the layer holds."""
        for name, packed in self._packed.items():
            full = getattr(self, name)
            if isinstance(full, Tensor):
                yield full
            yield from packed.tensors() if packed is not None else ()

    def get_seq_length(self) -> int:
        """Return the number of tokens, packed or not."""
        if not isinstance(self.keys, Tensor) or self.keys.ndim < 4:
            return 0
        return len(self._packed["keys"] or ()) + int(self.keys.shape[-2])

    def crop(self, tokens: int) -> None:
        """Take tokens back; a negative number says how many."""
        held = self.get_seq_length()
        if not held:
            return
        # What zero and more say is another thing in every release.
        plain = DynamicLayer()  # type: ignore[no-untyped-call]  # transformers does not type it
        plain.keys = plain.values = torch.empty((1, 1, held, 1), device="meta")
        plain.is_initialized = True
        plain.crop(tokens)
        left = plain.keys.shape[-2]
        for name, packed in self._packed.items():
            full = getattr(self, name)
            cropped = full[:, :, :left] if packed is None else packed.crop(left, full)
            setattr(self, name, cropped)

    def reset(self) -> None:
        """Forget all tokens."""
        self.keys = self.values = None
        self.is_initialized = False
        self._forget()

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Put other sequences in the places of these."""
        self._change(lambda held: held.index_select(0, beam_idx.to(held.device)))

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat every sequence."""
        self._change(lambda held: held.repeat_interleave(repeats, dim=0))

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep some of the sequences."""
        self._change(lambda held: held[indices])

    def offload(self) -> None:
        """Move all to the CPU."""
        self._change(lambda held: held.to("cpu", non_blocking=True))

    def prefetch(self) -> None:
        """Move all back to the layer's device."""
        self._change(lambda held: held.to(self.device, non_blocking=True))

    def _change(self, change: Callable[[Tensor], Tensor]) -> None:
        if not self.get_seq_length():
            return
        for name, packed in self._packed.items():
            setattr(self, name, change(getattr(self, name)))
            if packed is not None:
                packed.change(change)


def packed_layer(
    cache: Cache, number: int, key: Ladder | None, value: Ladder | None
) -> PackedLayer:
    """Return the packed layer of a cache, which takes the place of a fresh one.

    Raises
    ------
    ValueError
        If there is another one.
    """
    grown: Any = cache.layer_class_to_replicate
    while grown is not None and len(cache.layers) <= number:
        cache.layers.append(grown())
    layer: Any = cache.layers[number]
    if isinstance(layer, PackedLayer) and layer.ladders == (key, value):
        return layer
    _require_fresh(layer, number)
    packed = PackedLayer(key, value)
    cache.layers[number] = packed
    return packed


def require_packable(config: PreTrainedConfig, number: int) -> None:
    """Refuse to pack a layer that the caches of a model have a kind of their own for.

    Raises
    ------
    ValueError
        If they do.
    """
    layers = DynamicCache(config=config).layers
    if layers:
        _require_fresh(layers[number], number)


def _require_fresh(layer: Any, number: int) -> None:
    kept = f"layer {number} keeps keys or values in fewer bits"
    if type(layer) is not DynamicLayer:
        raise ValueError(
            f"{kept}, which a {type(layer).__name__} cannot; "
            "expected a layer that sees all tokens, in a DynamicCache made for this model"
        )
    if layer.get_seq_length():
        raise ValueError(
            f"{kept}, but the cache holds {layer.get_seq_length()} tokens in full; "
            "make the cache, or the prefix, with the converted model"
        )


def _in_blocks(states: Tensor, block: int) -> Tensor:
    """Return a view, shape (batch, heads, blocks, block, dh), of tokens."""
    return states.view(*states.shape[:2], -1, block, states.shape[-1])
