"""What a site keeps of some tokens, against a walk through them one by one."""

from fractions import Fraction
from math import ceil

import pytest

from qcqa.reduce.stored import COST_CONTEXT, Rung, Stored

RUNGS = {
    "none": (),
    "one": (Rung(Fraction(5)),),
    "thirds": (Rung(Fraction(13, 3), 2), Rung(Fraction(3))),
    "staircase": (Rung(Fraction(9), 1), Rung(Fraction(5), 3), Rung(Fraction(3))),
}


def _walked(stored: Stored, tokens: int) -> int:
    """Return the bits of tokens that come one after the other, blocks being packed as they age."""
    full, blocks = 0, 0
    for _ in range(tokens):
        full += 1
        if stored.rungs and full == stored.window + stored.block:
            full -= stored.block
            blocks += 1
    total = Fraction(full * stored.element_bits)
    for age in range(blocks):
        first = 0
        for rung in stored.rungs:
            if rung.blocks is None or age < first + rung.blocks:
                total += stored.block * rung.element_bits
                break
            first += rung.blocks
    return ceil(stored.elements * total)


@pytest.mark.parametrize("rungs", RUNGS.values(), ids=RUNGS)
@pytest.mark.parametrize("window", [0, 3, 16])
@pytest.mark.parametrize("block", [1, 8])
def test_bits_are_those_of_a_walk_through_the_tokens(
    rungs: tuple[Rung, ...], window: int, block: int
) -> None:
    stored = Stored(elements=12, element_bits=16, window=window, block=block, rungs=rungs)
    for tokens in (*range(70), 257):
        assert stored.bits(tokens) == _walked(stored, tokens), tokens


def test_without_rungs_every_token_costs_the_same() -> None:
    stored = Stored(elements=12, element_bits=16, window=5)
    assert stored.bits(100) == 100 * 12 * 16
    assert stored.bits_per_token == 12 * 16


def test_bits_per_token_are_those_of_a_long_context_rounded_up() -> None:
    stored = Stored(elements=3, element_bits=16, window=32, block=32, rungs=RUNGS["one"])
    exact = Fraction(stored.bits(COST_CONTEXT), COST_CONTEXT)
    assert stored.bits_per_token - 1 < exact <= stored.bits_per_token
    assert 3 * 5 < stored.bits_per_token < 3 * 16
