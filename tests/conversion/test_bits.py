"""Packed integers of the cache: exact codes, bounded error, bytes as promised, clear refusals."""

from typing import Any

import pytest
import torch

from qcqa.conversion.travelling.bits_qcqa import WIDTHS, Ladder
from qcqa.conversion.travelling.blocks_qcqa import Blocks, hadamard, pack, unpack

CODEC = {
    "kind": "bits",
    "rungs": [[8, 4], [4, 16], [2, None]],
    "block": 32,
    "group": 4,
    "window": 32,
    "rotated": False,
}


def drawn(head_dim: int, *, blocks: int = 5, block: int = 16) -> torch.Tensor:
    """Return states whose channels lie far from zero, as keys' do."""
    generator = torch.Generator().manual_seed(0)
    offsets = 30 * torch.randn(head_dim, generator=generator)
    return torch.randn((2, 3, blocks, block, head_dim), generator=generator) + offsets


def read(blocks: Blocks, like: torch.Tensor) -> torch.Tensor:
    return unpack(blocks, torch.empty_like(like))


@pytest.mark.parametrize(("head_dim", "group"), [(12, 4), (64, 32), (80, None), (6, None)])
@pytest.mark.parametrize("bits", WIDTHS)
def test_states_come_back_within_half_a_step(bits: int, head_dim: int, group: int | None) -> None:
    states = drawn(head_dim)

    blocks = pack(states, bits, group)

    step = blocks.scale.float().repeat_interleave(head_dim // blocks.scale.shape[-1], dim=-1)
    # What rounding of a 32-bit number adds is next to nothing.
    assert bool(((read(blocks, states) - states).abs() <= step / 2 * 1.001 + 1e-5).all())
    number = 5 * 2 * 3
    pairs = head_dim if group is None else 16 * head_dim // group
    num_bytes = sum(one.numel() * one.element_size() for one in blocks.tensors)
    assert num_bytes == number * (16 * bits // 8 * head_dim + 4 * pairs)


@pytest.mark.parametrize("bits", WIDTHS)
def test_codes_are_packed_without_loss(bits: int) -> None:
    """Whole numbers from 0 to the highest code have a step of 1, and are their own codes."""
    codes = torch.randint(2**bits, (2, 3, 4, 24, 10), generator=torch.Generator().manual_seed(0))
    codes[..., 0, :], codes[..., 1, :] = 0, 2**bits - 1

    assert torch.equal(read(pack(codes, bits, None), codes.float()), codes.float())


def test_blocks_are_taken_apart_and_put_together() -> None:
    states = drawn(8)
    blocks = pack(states, 3, 4)

    again = blocks[:2].followed_by(blocks[2:])

    assert len(blocks[:2]) == 2
    assert torch.equal(read(again, states), read(blocks, states))


def test_any_piece_at_a_time_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    states = drawn(8)
    blocks = pack(states, 3, 4)
    whole = read(blocks, states)
    for limit in (1, 300, 700, 2000):
        monkeypatch.setattr("qcqa.conversion.travelling.blocks_qcqa._AT_ONCE_CPU", limit)
        assert torch.equal(read(blocks, states), whole)


def test_other_types_and_apart_heads_are_written_too() -> None:
    states = drawn(8)
    blocks = pack(states, 4, None)
    wide = torch.zeros((2, 3, 7, 16, 8), dtype=torch.bfloat16)

    unpack(blocks, wide[:, :, 1:6])

    assert torch.equal(wide[:, :, 1:6], read(blocks, states).bfloat16())
    assert not wide[:, :, 0].any()
    assert not wide[:, :, 6].any()


@pytest.mark.parametrize("state", [0.0, 7.0, -60000.0, 1e-9])
def test_states_that_are_all_one_come_back(state: float) -> None:
    all_one = torch.full((1, 1, 1, 8, 4), state)
    torch.testing.assert_close(read(pack(all_one, 2, None), all_one), all_one, atol=1e-7, rtol=1e-3)


def test_states_beyond_a_scale_stay_finite() -> None:
    far = torch.full((1, 1, 1, 8, 4), 1e9)
    far[..., 0, :] = -1e9
    assert read(pack(far, 2, None), far).isfinite().all()


@pytest.mark.parametrize("head_dim", [64, 80, 12, 7])
def test_rotation_is_its_own_inverse(head_dim: int) -> None:
    matrix = hadamard(head_dim, torch.device("cpu"))
    torch.testing.assert_close(matrix @ matrix, torch.eye(head_dim))
    states = drawn(head_dim)
    rotated = pack(states @ matrix, 8, None)
    error = (unpack(rotated, torch.empty_like(states), matrix) - states).abs().max()
    assert error < 0.5


def test_a_ladder_is_json() -> None:
    assert Ladder.of(CODEC).to_json() == CODEC
    assert Ladder.of({"kind": "bits", "rungs": [[4, None]]}) == Ladder(((4, None),))


@pytest.mark.parametrize("tokens", [0, 31, 63, 64, 95, 96, 32 + 4 * 32, 32 + 5 * 32, 1000])
def test_bytes_are_those_of_rungs_and_window(tokens: int) -> None:
    ladder = Ladder.of(CODEC)
    packed = max(0, (tokens - 32) // 32)
    counts = [min(packed, 4), min(max(packed - 4, 0), 16), max(packed - 20, 0)]

    assert ladder.num_packed(tokens) == packed
    assert ladder.blocks_of_rungs(tokens) == counts
    full = (tokens - 32 * packed) * 12 * 2
    codes = sum(count * bits * 4 * 12 for count, bits in zip(counts, (8, 4, 2), strict=True))
    key, value = codes + packed * 4 * 12, codes + packed * 4 * 32 * 3
    assert ladder.num_bytes(tokens, 12, role="key", full_bytes=2) == key + full
    assert ladder.num_bytes(tokens, 12, role="value", full_bytes=2) == value + full


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"kind": "latent"}, "kind 'bits'"),
        ({"rungs": [[5, None]]}, "5 bits: expected one of 8, 4, 3, 2"),
        ({"rungs": []}, "the last to hold all older"),
        ({"rungs": [[8, 4]]}, "the last to hold all older"),
        ({"rungs": [[8, None], [4, None]]}, "only the last"),
        ({"rungs": [[4, 2], [8, None]]}, "fewer bits"),
        ({"rungs": [[4, 0], [2, None]]}, "at least 1"),
        ({"rungs": 4}, "rungs of bits and blocks"),
        ({"block": 12}, "a multiple of 8"),
        ({"group": 0}, "at least 1"),
        ({"window": -1}, "0 or more"),
        ({"window": 1.5}, "0 or more"),
        ({"sinks": 4}, "sinks: a newer release"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as refused:
        Ladder.of(CODEC | change)
    assert "\n" not in str(refused.value)


def test_groups_that_do_not_divide_are_refused() -> None:
    with pytest.raises(
        ValueError, match="groups of 32 channels: expected a divisor of head_dim 80"
    ):
        Ladder(((4, None),)).require(80)
