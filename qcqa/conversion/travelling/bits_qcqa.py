"""Which blocks of a cache are kept in how many bits: what a codec of kind ``bits`` says.

The newest tokens stay as they are. Older ones are packed in blocks as asymmetric integers: keys
with a scale and a minimum per channel for each block, values per token for each few channels
(KIVI, arXiv 2402.02750). On a ladder of several rungs a block loses bits as it ages (SAQ,
arXiv 2410.18441).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

#: Bits that can be packed.
WIDTHS = (8, 4, 3, 2)
#: Of a float16 scale and a float16 minimum.
PAIR_BYTES = 4


@dataclass(frozen=True)
class Ladder:
    """How one site, the keys or the values of a layer, is kept.

    Parameters
    ----------
    rungs : tuple of (int, int or None)
        Bits and number of blocks, from the newest packed block to the oldest; None, for all older
        ones, ends the ladder.
    block : int
        Tokens of a block, a multiple of 8.
    group : int
        Channels of a value that have a scale and a minimum of their own.
    window : int
        Newest tokens that are not packed.
    rotated : bool
        Whether states are multiplied by a Hadamard matrix first, which spreads what stands out.

    Raises
    ------
    ValueError
        If it cannot be.
    """

    rungs: tuple[tuple[int, int | None], ...]
    block: int = 32
    group: int = 32
    window: int = 32
    rotated: bool = False

    def __post_init__(self) -> None:
        if not self.rungs or self.rungs[-1][1] is not None:
            raise ValueError(f"rungs {self.rungs}: expected the last to hold all older blocks")
        for bits, blocks in self.rungs:
            if bits not in WIDTHS:
                raise ValueError(f"{bits!r} bits: expected one of {', '.join(map(str, WIDTHS))}")
            if blocks is not None and not _is_count(blocks, least=1):
                raise ValueError(f"{blocks!r} blocks of {bits} bits: expected at least 1")
        widths = [bits for bits, _ in self.rungs]
        if any(blocks is None for _, blocks in self.rungs[:-1]):
            raise ValueError(f"rungs {self.rungs}: expected only the last to hold all older blocks")
        if any(older >= newer for newer, older in pairwise(widths)):
            raise ValueError(f"rungs of {widths} bits: expected fewer bits the older a block is")
        if not _is_count(self.block, least=8) or self.block % 8:
            raise ValueError(f"blocks of {self.block!r} tokens: expected a multiple of 8")
        if not _is_count(self.group, least=1):
            raise ValueError(f"groups of {self.group!r} channels: expected at least 1")
        if not _is_count(self.window, least=0):
            raise ValueError(f"a window of {self.window!r} tokens: expected 0 or more")

    @classmethod
    def of(cls, content: Any) -> "Ladder":
        """Return the ladder that a codec, as JSON, describes.

        Raises
        ------
        ValueError
            If it is no codec of this kind, or cannot be.
        """
        if not isinstance(content, Mapping) or content.get("kind") != "bits":
            raise ValueError(f"{content!r}: expected a codec of kind 'bits'")
        settings = {name: value for name, value in content.items() if name != "kind"}
        unknown = settings.keys() - cls.__annotations__.keys()
        if unknown:
            raise ValueError(f"a codec with {', '.join(sorted(unknown))}: a newer release wrote it")
        try:
            rungs = tuple((bits, blocks) for bits, blocks in settings.pop("rungs"))
        except (KeyError, TypeError, ValueError):
            raise ValueError(f"{content!r}: expected rungs of bits and blocks") from None
        return cls(rungs, **settings)

    def to_json(self) -> dict[str, Any]:
        """Return the codec as JSON."""
        settings = {name: getattr(self, name) for name in self.__annotations__}
        return {"kind": "bits", **settings, "rungs": [list(rung) for rung in self.rungs]}

    def require(self, head_dim: int) -> None:
        """Refuse heads of values whose channels are no whole groups.

        Raises
        ------
        ValueError
            If they are not.
        """
        if head_dim % self.group:
            raise ValueError(
                f"groups of {self.group} channels: expected a divisor of head_dim {head_dim}"
            )

    def num_packed(self, tokens: int) -> int:
        """Return how many blocks of a sequence are packed."""
        return max(0, (tokens - self.window) // self.block)

    def blocks_of_rungs(self, tokens: int) -> list[int]:
        """Return how many blocks of a sequence lie on each rung, from the newest on."""
        left, counts = self.num_packed(tokens), []
        for _, room in self.rungs:
            counts.append(left if room is None else min(left, room))
            left -= counts[-1]
        return counts

    def num_bytes(self, tokens: int, head_dim: int, *, role: str, full_bytes: int) -> int:
        """Return the bytes of one head of one sequence.

        Parameters
        ----------
        tokens : int
            Length of the sequence.
        head_dim : int
            Channels of the head.
        role : {"key", "value"}
            Of the head.
        full_bytes : int
            Of a number that is not packed.
        """
        pairs = head_dim if role == "key" else self.block * (head_dim // self.group)
        counts = self.blocks_of_rungs(tokens)
        packed = sum(
            count * (self.block * bits // 8 * head_dim + PAIR_BYTES * pairs)
            for count, (bits, _) in zip(counts, self.rungs, strict=True)
        )
        return packed + (tokens - sum(counts) * self.block) * head_dim * full_bytes


def _is_count(value: Any, *, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
