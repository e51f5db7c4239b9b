"""A number of bits for a site of a layer, or a staircase of them by the age of tokens."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any, ClassVar, Self

from qcqa.errors import ReductionError
from qcqa.model.spec import ModelSpec
from qcqa.reduce.bits.options import DEFAULT_GROUP, BitsOptions
from qcqa.reduce.choice import SiteKind
from qcqa.reduce.facts import SiteFacts
from qcqa.reduce.stored import Rung, Stored

#: Bits that an integer may have: from what loses nothing to what is only good for old tokens.
WIDTHS = (8, 4, 3, 2)

#: Bits, and for how many blocks of tokens, the newest first; None, in the last alone, for all that
#: are older.
Rungs = tuple[tuple[int, int | None], ...]
#: The same in tokens, whatever the length of a block.
Steps = Rungs

#: Scale and minimum of a group, float16 each.
_SCALE_BITS = 32

#: Three bits are packed eight integers at a time.
_TOKENS_PACKED_TOGETHER = 8


@dataclass(frozen=True, slots=True)
class Bits:
    """Asymmetric integers: keys per channel along tokens, values per token along channels.

    As in KIVI (arXiv 2402.02750); with several rungs a staircase by age, as in SAQ
    (arXiv 2410.18441).

    Parameters
    ----------
    rungs : tuple of (int, int or None)
        See :data:`Rungs`. A block is requantised as it steps down.
    group : int
        Elements with one scale: tokens of a channel for keys, channels of a token for values.
    block : int
        Tokens that are packed together; of keys the group itself.
    window : int
        Newest tokens, which stay at full precision.
    is_rotated : bool
        Whether states are rotated by a Hadamard matrix before they are packed.

    Raises
    ------
    ReductionError
        If it cannot be packed like this.
    """

    rungs: Rungs
    group: int = DEFAULT_GROUP
    block: int = DEFAULT_GROUP
    window: int = 32
    is_rotated: bool = False
    kind: ClassVar[str] = "bits"

    def __post_init__(self) -> None:
        for width, _ in self.rungs:
            if width not in WIDTHS:
                raise ReductionError(
                    f"{width} bits", expected=f"one of {', '.join(map(str, WIDTHS))}"
                )
        *newer, last = self.rungs or ((0, 0),)
        if last[1] is not None or any(blocks is None or blocks < 1 for _, blocks in newer):
            raise ReductionError(
                f"rungs {list(self.rungs)} of bits",
                expected="blocks of tokens for each but the last, which has all that are older",
            )
        widths = [width for width, _ in self.rungs]
        if any(older >= newer for newer, older in pairwise(widths)):
            raise ReductionError(
                f"rungs of {self.short} bits", expected="fewer bits the older a block is"
            )
        if self.block < 1 or self.block % _TOKENS_PACKED_TOGETHER:
            raise ReductionError(
                f"blocks of {self.block} tokens",
                expected=f"a multiple of {_TOKENS_PACKED_TOGETHER}",
            )
        if self.group < 1 or self.window < 0:
            raise ReductionError(
                f"groups of {self.group} and a window of {self.window}",
                expected="groups of at least 1 element, a window of at least 0 tokens",
            )

    @classmethod
    def uniform(cls, width: int, options: BitsOptions, kind: SiteKind, spec: ModelSpec) -> Self:
        """Return so many bits for the keys, or the values, of a model."""
        return cls.staircase(((width, None),), options, kind, spec)

    @classmethod
    def staircase(cls, steps: Steps, options: BitsOptions, kind: SiteKind, spec: ModelSpec) -> Self:
        """Return a staircase for the keys, or the values, of a model.

        Raises
        ------
        ReductionError
            If groups were asked for that the model cannot have, or steps are no whole blocks.
        """
        group = options.group_at(kind, spec)
        block = group if kind == "key" else DEFAULT_GROUP
        rungs = tuple((width, tokens and tokens // block) for width, tokens in steps)
        return cls(rungs, group=group, block=block, is_rotated=options.rotate)

    @property
    def label(self) -> str:
        """The bits, from new tokens to old."""
        return f"{self.short} bits"

    @property
    def short(self) -> str:
        """The numbers alone: ``4``, or ``8-4-2``."""
        return "-".join(str(width) for width, _ in self.rungs)

    def stored(self, before: Stored) -> Stored:
        """Return what the cache keeps as integers, with their scales."""
        scales = Fraction(_SCALE_BITS, self.group)
        return replace(
            before,
            window=self.window,
            block=self.block,
            rungs=tuple(Rung(width + scales, blocks) for width, blocks in self.rungs),
        )

    def to_json(self) -> dict[str, Any]:
        """Return its parameters."""
        return {
            "rungs": [list(rung) for rung in self.rungs],
            "block": self.block,
            "group": self.group,
            "window": self.window,
            "rotated": self.is_rotated,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any], _spec: ModelSpec) -> Self:
        """Return the bits of a plan's file.

        Raises
        ------
        ReductionError
            If they cannot be packed like this.
        """
        rungs = tuple((width, blocks) for width, blocks in content["rungs"])
        sizes = {name: content[name] for name in ("group", "block", "window")}
        numbers = [number for rung in rungs for number in rung if number is not None]
        if {*map(type, (*numbers, *sizes.values()))} != {int}:
            raise TypeError("expected whole numbers")
        if not isinstance(content["rotated"], bool):
            raise TypeError("expected true or false")
        return cls(rungs, **sizes, is_rotated=content["rotated"])

    def require(self, kind: SiteKind, spec: ModelSpec) -> None:
        """Raise unless the groups of a site come out even.

        Raises
        ------
        ReductionError
            If they do not.
        """
        if kind == "key" and self.group != self.block:
            raise ReductionError(
                f"groups of {self.group} keys in blocks of {self.block} tokens",
                expected="one group of a channel in each block",
            )
        if kind == "value" and spec.head_dim % self.group:
            raise ReductionError(
                f"groups of {self.group} channels of values",
                expected=f"a number that divides the {spec.head_dim} dimensions of a head",
            )

    def reads(self) -> None:
        """Return None: every head is packed by itself."""

    def map_shape(self, _num_heads: int) -> None:
        """Return None: what is packed keeps its dimensions."""

    def codec(self) -> Mapping[str, Any]:
        """Return how tensors are packed and unpacked, for the code beside the weights."""
        return {"kind": self.kind, **self.to_json()}


def offered_bits(options: BitsOptions, facts: SiteFacts) -> tuple[Bits, ...]:
    """Return every number of bits for a site."""
    return tuple(Bits.uniform(width, options, facts.kind, facts.spec) for width in WIDTHS)
