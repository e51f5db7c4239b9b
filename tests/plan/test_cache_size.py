"""The size of a cache by its tokens, and how many fit: against every length, one by one."""

import pytest

from qcqa.model.spec import ModelSpec
from qcqa.plan.budget import GIB, CacheLoad
from qcqa.plan.cache_size import CacheSize
from qcqa.plan.capacity import Server, capacity_of
from qcqa.reduce.bits.choice import Bits
from qcqa.reduce.choice import LayerChoice

SPEC = ModelSpec("tiny", None, "llama", 2, 4, 4, 32, 128, False, "bfloat16")

STEEP = LayerChoice((Bits(((8, 2), (2, None))),), (Bits(((2, None),), window=100),))
#: Blocks of another length at one site.
MIXED = LayerChoice((Bits(((4, None),)),), (Bits(((2, None),), block=40, window=7),))
LAYERS = [(LayerChoice(),) * 2, (STEEP, LayerChoice()), (STEEP, MIXED)]


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e4m3fn"])
def test_all_lengths_up_to_the_longest_fit_and_the_next_does_not(layers, dtype):
    size = CacheSize.of(layers, SPEC, dtype)
    held = [size.at(tokens) for tokens in range(1500)]
    # A block that is packed makes the cache smaller for a moment.
    assert (held != sorted(held)) == any(any(layer.codecs()) for layer in layers)
    for room in [0, held[1], held[33] - 1, *range(held[64], held[1200], 9973)]:
        first_too_large = next(tokens for tokens, bytes_ in enumerate(held) if bytes_ > room)
        assert size.most_tokens(room) == first_too_large - 1


def test_a_gpu_has_room_for_what_a_plan_takes_and_no_more():
    layers = (STEEP, MIXED)
    server = Server(1, 100_000_000, "bfloat16")
    load = CacheLoad(context_tokens=3000, batch_size=7, dtype="float8_e4m3fn")
    found = capacity_of(SPEC, server, load, layers=layers)
    size = CacheSize.of(layers, SPEC, load.dtype)
    room = int(0.9 * GIB) - 200_000_000
    assert found.cache_bytes == room
    assert 7 * size.at(found.longest_context_tokens) <= room
    assert 7 * size.at(found.longest_context_tokens + 1) > room
    assert found.largest_batch == room // size.at(3000)
    assert found.kv_bits == sum(layer.bits_per_token(SPEC) for layer in layers)
