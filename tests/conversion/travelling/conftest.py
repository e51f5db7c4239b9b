"""A cache that stores what a packed one stands for, as plain numbers, and models with codecs."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import DynamicLayer

from qcqa.conversion.travelling.bits_qcqa import Ladder
from qcqa.conversion.travelling.section_qcqa import Section

#: Small enough that a few tokens climb down all of it.
STAIRS = {
    "kind": "bits",
    "rungs": [[8, 1], [4, 2], [2, None]],
    "block": 8,
    "group": 4,
    "window": 8,
    "rotated": False,
}


def quantised(states: np.ndarray, bits: int, role: str, group: int) -> np.ndarray:
    """Return what is left of a block of tokens, shape (..., tokens, dh), in so many bits."""
    axis, apart = -2, states
    if role == "value":
        axis, apart = -1, states.reshape(*states.shape[:-1], -1, group)
    lowest, highest = apart.min(axis, keepdims=True), apart.max(axis, keepdims=True)
    minimum = lowest.astype(np.float16)
    below = np.nextafter(minimum, np.float16(-np.inf))
    minimum = np.where(minimum > lowest, below, minimum).astype(np.float32)
    exact = (highest - minimum) / np.float32(2**bits - 1)
    scale = exact.astype(np.float16)
    scale = np.where(scale < exact, np.nextafter(scale, np.float16(np.inf)), scale)
    scale = scale.astype(np.float32)
    codes = np.round((apart - minimum) / np.where(scale == 0, 1, scale))
    return (codes * scale + minimum).reshape(states.shape).astype(np.float32)


class DenseTokens:
    """The tokens of the keys, or of the values, all as floats, as they are left."""

    def __init__(self, ladder: Ladder | None, role: str):
        self.ladder, self.role = ladder, role
        self.widths: list[int] = []  # bits of each block, from the oldest on

    def age(self, states: Tensor) -> Tensor:
        """Return all tokens after those that have left the window, or a rung, lost bits."""
        if self.ladder is None:
            return states
        states, block = states.clone(), self.ladder.block
        while len(self.widths) < (states.shape[-2] - self.ladder.window) // block:
            moved = len(self.widths)
            self.widths.append(0)
            for bits, room in self.ladder.rungs:
                tokens = slice(moved * block, (moved + 1) * block)
                exact = states[:, :, tokens].numpy()
                left = quantised(exact, bits, self.role, self.ladder.group)
                states[:, :, tokens] = torch.from_numpy(left)
                self.widths[moved] = bits
                if room is None or self.widths.count(bits) <= room:
                    break
                moved = self.widths.index(bits)  # the oldest of the rung goes on to the next
        return states


class DenseLayer(DynamicLayer):
    """What a packed layer stands for, in full size."""

    answers_with_stored = False

    def __init__(self, key: Ladder | None, value: Ladder | None):
        super().__init__()
        self.ladders = (key, value)
        self.parts = DenseTokens(key, "key"), DenseTokens(value, "value")

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> Any:
        """Store the tokens of a call; return all."""
        read = super().update(key_states, value_states)
        self.keys, self.values = (
            part.age(states) for part, states in zip(self.parts, read, strict=True)
        )
        return (self.keys, self.values) if self.answers_with_stored else read

    def crop(self, *count: int) -> None:
        """Take tokens back; a block that is cut into is none any more."""
        super().crop(*count)
        for part in self.parts:
            if part.ladder is not None:
                del part.widths[self.get_seq_length() // part.ladder.block :]


@pytest.fixture
def stairs() -> dict[str, Any]:
    """Return a codec of three rungs."""
    return deepcopy(STAIRS)


@pytest.fixture
def dense_layer() -> type[DenseLayer]:
    """Return the kind of layer that says what a packed one must give back."""
    return DenseLayer


@pytest.fixture
def dense_caches(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what makes models with codecs go by the reference from then on."""

    def use() -> None:
        for module in ("packed_qcqa", "hooks_qcqa"):
            monkeypatch.setattr(f"qcqa.conversion.travelling.{module}.PackedLayer", DenseLayer)

    return use


@pytest.fixture
def with_codecs() -> Callable[..., PreTrainedModel]:
    """Return what gives a converted model codecs: of (key, value), or of every layer."""

    def give(model: PreTrainedModel, *codecs: Any) -> PreTrainedModel:
        section = Section.from_config(model.config)
        by_layer: Sequence[Any] = codecs if len(codecs) > 1 else codecs * len(section.layers)
        config = deepcopy(model.config)
        config.qcqa = replace(section, codecs=tuple(by_layer)).to_config()
        given = type(model)(config).eval()
        given.load_state_dict(model.state_dict())
        given.set_attn_implementation(model.config._attn_implementation)
        return given

    return give
