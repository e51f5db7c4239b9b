"""A packed layer of a cache against one that keeps what it stands for as floats."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers.cache_utils import DynamicLayer

from qcqa.conversion.travelling.bits_qcqa import WIDTHS, Ladder
from qcqa.conversion.travelling.packed_qcqa import PackedLayer

HEADS, VALUE_HEADS, HEAD_DIM = 3, 2, 12


def drawn(tokens: int, *, batch: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(tokens)
    keys = torch.randn((batch, HEADS, tokens, HEAD_DIM), generator=generator) + 5
    return keys, torch.randn((batch, VALUE_HEADS, tokens, HEAD_DIM), generator=generator)


def in_pieces(layer: Any, states: tuple[Tensor, Tensor], *lengths: int) -> tuple[Tensor, Tensor]:
    """Feed tokens, so many a call; return what the last call got."""
    answer = states
    for part in zip(*(one.split(lengths, dim=2) for one in states), strict=True):
        answer = layer.update(*part)
    return answer


def held(layer: PackedLayer) -> list[Tensor]:
    return list(layer.tensors())


def equal(first: PackedLayer, second: PackedLayer) -> bool:
    pairs = zip(held(first), held(second), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


def ladders(stairs: dict[str, Any]) -> list[tuple[Ladder | None, Ladder | None]]:
    """Return pairs for keys and values, whose windows and blocks may differ."""
    all_stairs = Ladder.of(stairs)
    uniform = [Ladder.of(stairs | {"rungs": [[bits, None]], "window": 3}) for bits in WIDTHS]
    longer = Ladder.of(stairs | {"block": 16, "window": 0, "group": 12})
    return [
        (all_stairs, all_stairs), (all_stairs, longer), (None, all_stairs), (longer, None),
        *((one, one) for one in uniform),
    ]  # fmt: skip


@pytest.fixture(params=range(8))
def pair(request: pytest.FixtureRequest, stairs: dict[str, Any]) -> Any:
    return ladders(stairs)[request.param]


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("lengths", [(70,), (1,) * 70, (40, *(1,) * 30), (7,) * 10, (33, 3, 34)])
def test_every_call_gets_what_the_reference_gets(
    lengths: tuple[int, ...], stored: bool, pair: Any, dense_layer: Any
) -> None:
    packed, dense = PackedLayer(*pair), dense_layer(*pair)
    packed.answers_with_stored = dense.answers_with_stored = stored
    states = drawn(70)
    for part in zip(*(one.split(lengths, dim=2) for one in states), strict=True):
        assert packed.get_mask_sizes(part[0].shape[2]) == dense.get_mask_sizes(part[0].shape[2])
        ours, theirs = packed.update(*part), dense.update(*part)
        assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
        assert packed.get_seq_length() == dense.get_seq_length()


@pytest.mark.parametrize("lengths", [(70,), (7,) * 10, (33, 3, 34), (16, 16, 16, 16, 6)])
def test_pieces_store_what_single_tokens_store(lengths: tuple[int, ...], pair: Any) -> None:
    states, single, pieces = drawn(70), PackedLayer(*pair), PackedLayer(*pair)
    in_pieces(single, states, *(1,) * 70)

    in_pieces(pieces, states, *lengths)

    assert equal(pieces, single)


@pytest.mark.parametrize("tokens", [1, 8, 15, 16, 17, 40, 64, 70])
def test_bytes_are_those_of_the_ladder(tokens: int, pair: Any) -> None:
    layer = PackedLayer(*pair)
    in_pieces(layer, drawn(tokens), tokens)

    expected = 0
    for role, heads, ladder in zip(("key", "value"), (HEADS, VALUE_HEADS), pair, strict=True):
        head = 4 * tokens * HEAD_DIM
        if ladder is not None:
            head = ladder.num_bytes(tokens, HEAD_DIM, role=role, full_bytes=4)
        expected += 2 * heads * head
    # The memory behind the tensors, of which none is a view of something larger.
    storages = {one.untyped_storage().data_ptr(): one for one in held(layer) if one.numel()}
    assert sum(one.untyped_storage().nbytes() for one in storages.values()) == expected


def test_a_call_gets_its_own_tokens_in_full(pair: Any) -> None:
    layer, states = PackedLayer(*pair), drawn(70)

    answer = in_pieces(layer, states, 20, 50)

    for got, own in zip(answer, states, strict=True):
        assert torch.equal(got[:, :, 20:], own[:, :, 20:])


def test_rotated_states_come_back(stairs: dict[str, Any]) -> None:
    rotated = Ladder.of(stairs | {"rungs": [[8, None]], "rotated": True})
    layer, states = PackedLayer(rotated, rotated), drawn(40)

    answer = in_pieces(layer, states, 39, 1)

    for got, own in zip(answer, states, strict=True):
        torch.testing.assert_close(got, own, atol=0.05, rtol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_states_keep_their_type(dtype: torch.dtype, stairs: dict[str, Any]) -> None:
    ladder = Ladder.of(stairs)
    layer, same = PackedLayer(ladder, ladder), PackedLayer(ladder, ladder)
    states = tuple(one.to(dtype) for one in drawn(50))

    ours = in_pieces(layer, states, 49, 1)
    exact = in_pieces(same, tuple(one.float() for one in states), 49, 1)

    for got, wide in zip(ours, exact, strict=True):
        assert got.dtype == dtype
        assert torch.equal(got, wide.to(dtype))


#: What a search among beams does to a cache, and to plain keys and values.
CHANGES: dict[str, Any] = {
    "other order": lambda layer: layer.reorder_cache(torch.tensor([1, 1])),
    "repeated": lambda layer: layer.batch_repeat_interleave(3),
    "selected": lambda layer: layer.batch_select_indices(torch.tensor([1])),
}


@pytest.mark.parametrize("change", CHANGES)
def test_sequences_are_picked_as_in_the_reference(change: str, pair: Any, dense_layer: Any) -> None:
    packed, dense = PackedLayer(*pair), dense_layer(*pair)
    for layer in (packed, dense):
        in_pieces(layer, drawn(50), 30, 20)
        CHANGES[change](layer)

    newer = drawn(9, batch=packed.keys.shape[0])

    for ours, theirs in zip(packed.update(*newer), dense.update(*newer), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("left", [0, 1, 5, 8, 24, 27, 40, 59, 69, 70])
def test_tokens_are_taken_back_as_in_the_reference(left: int, pair: Any, dense_layer: Any) -> None:
    packed, dense = PackedLayer(*pair), dense_layer(*pair)
    for layer in (packed, dense):
        in_pieces(layer, drawn(70), 70)
        if left < 70:
            layer.crop(left - 70)
        assert layer.get_seq_length() == left

    for length in (1, 30):
        newer = drawn(length)
        for ours, theirs in zip(packed.update(*newer), dense.update(*newer), strict=True):
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize("count", [0, 20, 100])
def test_what_else_crop_takes_is_as_in_this_release(count: int, pair: Any) -> None:
    packed, plain = PackedLayer(*pair), DynamicLayer()
    for layer in (packed, plain):
        in_pieces(layer, drawn(70), 70)
    try:
        plain.crop(count)
    except ValueError:
        with pytest.raises(ValueError, match="negative"):
            packed.crop(count)
    else:
        packed.crop(count)
        assert packed.get_seq_length() == plain.keys.shape[2]


def test_a_fresh_layer_has_nothing_to_take_back_or_to_pick(pair: Any) -> None:
    layer = PackedLayer(*pair)
    for act in (*CHANGES.values(), lambda it: it.crop(-1), lambda it: it.offload()):
        act(layer)
    assert layer.get_seq_length() == 0
    assert not held(layer)
    assert layer.get_mask_sizes(5) == (5, 0)


def test_a_layer_forgets_and_is_used_again(pair: Any) -> None:
    layer, fresh = PackedLayer(*pair), PackedLayer(*pair)
    in_pieces(layer, drawn(70), 70)

    layer.reset()

    assert layer.get_seq_length() == 0
    in_pieces(layer, drawn(40), 40)
    in_pieces(fresh, drawn(40), 40)
    assert equal(layer, fresh)


def test_a_copy_is_a_layer_of_its_own(pair: Any) -> None:
    layer, other = PackedLayer(*pair), PackedLayer(*pair)
    for one in (layer, other):
        in_pieces(one, drawn(40), 40)

    copy = deepcopy(layer)
    layer.update(*drawn(30))

    assert equal(copy, other)


def test_a_layer_moves_to_the_cpu_and_back(pair: Any) -> None:
    layer, same = PackedLayer(*pair), PackedLayer(*pair)
    for one in (layer, same):
        in_pieces(one, drawn(40), 40)

    layer.offload()
    layer.prefetch()

    assert equal(layer, same)


def test_gradients_reach_the_tokens_of_the_call(pair: Any) -> None:
    layer = PackedLayer(*pair)
    layer.update(*drawn(40))
    newer = tuple(one.requires_grad_() for one in drawn(3))

    sum(one.sum() for one in layer.update(*newer)).backward()

    assert all(torch.equal(one.grad, torch.ones_like(one)) for one in newer)
