"""What fits on a GPU: weights, cache and reserve fill its memory and no more."""

from dataclasses import replace

import pytest

from qcqa.errors import BudgetError, SettingsError
from qcqa.model.spec import ModelSpec
from qcqa.plan.budget import GIB, CacheLoad
from qcqa.plan.capacity import Server, capacity_of
from qcqa.plan.gpus import GPUS, gpu_named

#: As Llama 2 7B.
LLAMA = ModelSpec("llama", None, "llama", 32, 32, 32, 128, 4096, False, "bfloat16")
PARAMETERS = 6_738_415_616


def _server(**changes):
    return replace(Server(80, PARAMETERS, "bfloat16"), **changes)


def test_known_model_on_a_known_gpu():
    load = CacheLoad(context_tokens=4096, batch_size=8, dtype="bfloat16")
    source = capacity_of(LLAMA, _server(), load)
    assert source.weight_bytes == 2 * PARAMETERS
    # Half a MiB per token: 32 layers, K and V, 4096 numbers of 2 bytes.
    assert source.longest_context_tokens == (int(72 * GIB) - 2 * PARAMETERS) // (8 * 2**19)
    assert source.longest_context_tokens == 15_218
    bits = 1024 * LLAMA.head_bits
    half = capacity_of(LLAMA, _server(), load, kv_bits=bits, num_stored_heads=1024)
    # 1024 heads less of 128 rows of 4096 weights.
    assert source.weight_bytes - half.weight_bytes == 2 * 1024 * 128 * 4096
    assert half.longest_context_tokens > 2 * source.longest_context_tokens


@pytest.mark.parametrize("heads", [64, 1000, 2048])
@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e4m3fn"])
@pytest.mark.parametrize("weight_dtype", ["bfloat16", "int8", "int4"])
def test_memory_is_filled_and_never_overflows(heads, dtype, weight_dtype):
    server = _server(weight_dtype=weight_dtype)
    load = CacheLoad(context_tokens=10_000, batch_size=3, dtype=dtype)
    kv_bits = heads * LLAMA.head_bits
    found = capacity_of(LLAMA, server, load, kv_bits=kv_bits, num_stored_heads=heads)
    assert found.kv_bits == kv_bits
    most = 0.9 * 80 * GIB

    def needed(context, batch):
        return found.weight_bytes + CacheLoad(context, batch, dtype).cache_bytes(LLAMA, kv_bits)

    assert needed(found.longest_context_tokens, 3) <= most
    assert needed(found.longest_context_tokens + 1, 3) > most
    assert needed(10_000, found.largest_batch) <= most
    assert needed(10_000, found.largest_batch + 1) > most


def test_bits_of_elements_leave_the_weights_as_they_are():
    load = CacheLoad(context_tokens=4096, batch_size=8, dtype="bfloat16")
    source = capacity_of(LLAMA, _server(), load)
    quarter = capacity_of(LLAMA, _server(), load, kv_bits=LLAMA.kv_bits // 4)
    assert quarter.weight_bytes == source.weight_bytes
    assert quarter.longest_context_tokens // 4 == source.longest_context_tokens


def test_weights_that_do_not_fit_leave_nothing():
    load = CacheLoad(context_tokens=1, batch_size=1, dtype="bfloat16")
    found = capacity_of(LLAMA, _server(memory_gib=10), load)
    assert (found.cache_bytes, found.longest_context_tokens, found.largest_batch) == (0, 0, 0)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"memory_gib": 0.0}, BudgetError, "GiB of memory"),
        ({"memory_gib": float("nan")}, BudgetError, "GiB of memory"),
        ({"num_parameters": 0}, BudgetError, "0 parameters"),
        ({"utilization": 1.1}, BudgetError, "utilization"),
        ({"weight_dtype": "int3"}, SettingsError, "int3"),
    ],
)
def test_servers_that_make_no_sense_are_refused(change, error, said):
    with pytest.raises(error, match=said):
        _server(**change)


def test_gpus_are_found_with_and_without_their_memory():
    assert gpu_named("h200").memory_gib == 141
    assert gpu_named("H100-80gb").name == gpu_named("h100").name == "H100 80GB"
    assert gpu_named("l4").memory_gib == 24
    assert gpu_named("mi300x") is GPUS["MI300X 192GB"]
    for name in GPUS:
        assert gpu_named(name).name == name
    with pytest.raises(SettingsError, match="several sizes of memory; expected one of A100 80GB"):
        gpu_named("A100")
    for wrong in ("", "H10", "Voodoo 2"):
        with pytest.raises(SettingsError, match="expected one of B300"):
            gpu_named(wrong)
