"""What a site of a layer keeps in the KV cache, in bits: the currency of every reduction."""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil

#: Tokens of a sequence at which a cost is counted that depends on the context. Full-precision
#: windows are a small part of a long cache; at other loads :meth:`Stored.bits` is asked.
COST_CONTEXT = 4096


@dataclass(frozen=True, slots=True)
class Rung:
    """Blocks of tokens of like age that are kept alike.

    Parameters
    ----------
    element_bits : Fraction
        Bits of an element, its share of scales included.
    blocks : int or None
        How many blocks there is room for; None for all that are older.
    """

    element_bits: Fraction
    blocks: int | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """What the cache keeps of the keys, or of the values, of one layer.

    Parameters
    ----------
    elements : int
        Of one token.
    element_bits : int
        Bits of an element at full precision.
    window : int
        Newest tokens, which stay at full precision.
    block : int
        Tokens that are packed together, when all of them have left the window.
    rungs : tuple of Rung
        How blocks are packed, the newest on the first; none where nothing is packed.
    """

    elements: int
    element_bits: int
    window: int = 0
    block: int = 1
    rungs: tuple[Rung, ...] = ()

    def bits(self, tokens: int) -> int:
        """Return the bits that so many tokens of one sequence take."""
        remaining = max(0, tokens - self.window) // self.block if self.rungs else 0
        total = Fraction(self.element_bits * (tokens - remaining * self.block))
        for rung in self.rungs:
            blocks = remaining if rung.blocks is None else min(remaining, rung.blocks)
            total += blocks * self.block * rung.element_bits
            remaining -= blocks
        return ceil(self.elements * total)

    def bytes(self, tokens: int) -> int:
        """Return the whole bytes that so many tokens of one sequence take."""
        return self.bits(tokens) // 8

    @property
    def telling_tokens(self) -> int:
        """Tokens after which each rung holds something, and the window is not just full."""
        newer = sum(rung.blocks or 0 for rung in self.rungs)
        return self.window + self.block * (newer + 2) + self.block // 2

    @property
    def bits_per_token(self) -> int:
        """Bits per token of a sequence of :data:`COST_CONTEXT` tokens."""
        return -(-self.bits(COST_CONTEXT) // COST_CONTEXT)
