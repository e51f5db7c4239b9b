"""The inverse of a budget: what fits on a GPU, with the source's KV cache and with a plan's.

Memory = weights + KV cache + a reserve. The reserve is what serving engines leave free, a tenth by
default: vLLM's ``gpu_memory_utilization`` was 0.9 for years and is 0.92 in newer releases. Within
the rest an engine keeps its activations, too, so that the numbers are upper limits; what two of
them differ by does not depend on that.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from qcqa.errors import BudgetError, SettingsError
from qcqa.model.spec import DTYPE_BYTES, ModelSpec
from qcqa.plan.budget import GIB, CacheLoad
from qcqa.plan.cache_size import CacheSize
from qcqa.reduce.choice import LayerChoice

#: Bytes per weight. Quantized formats keep scales beside the weights, a few percent more.
WEIGHT_BYTES: dict[str, float] = {**DTYPE_BYTES, "int4": 0.5}

#: Share of the memory that weights and KV cache may take.
UTILIZATION = 0.9


@dataclass(frozen=True, slots=True)
class Server:
    """A GPU and the model on it.

    Parameters
    ----------
    memory_gib : float
        Memory of the GPU.
    num_parameters : int
        Weights of the source model.
    weight_dtype : str
        Type in which they are served, one of :data:`WEIGHT_BYTES`.
    utilization : float
        Share of the memory that weights and KV cache may take.

    Raises
    ------
    BudgetError
        If a number is out of range.
    SettingsError
        If the type is none of those known.
    """

    memory_gib: float
    num_parameters: int
    weight_dtype: str
    utilization: float = UTILIZATION

    def __post_init__(self) -> None:
        if not self.memory_gib > 0:
            raise BudgetError(f"{self.memory_gib:g} GiB of memory", expected="a size above 0")
        if self.num_parameters < 1:
            raise BudgetError(f"{self.num_parameters} parameters", expected="at least 1")
        if not 0 < self.utilization <= 1:
            raise BudgetError(
                f"utilization {self.utilization:g}", expected="a share above 0 and at most 1"
            )
        if self.weight_dtype not in WEIGHT_BYTES:
            raise SettingsError(
                f"dtype {self.weight_dtype!r} of weights",
                expected=f"one of {', '.join(WEIGHT_BYTES)}",
            )


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a GPU has room for.

    Parameters
    ----------
    kv_bits : int
        Bits of the KV cache per token, as a plan's costs are counted.
    weight_bytes : int
        Of the model's weights.
    cache_bytes : int
        What is left for the KV cache; 0 where the weights alone do not fit.
    longest_context_tokens : int
        Of each sequence, at the load's batch.
    largest_batch : int
        Sequences at the load's context.
    """

    kv_bits: int
    weight_bytes: int
    cache_bytes: int
    longest_context_tokens: int
    largest_batch: int


def capacity_of(
    spec: ModelSpec,
    server: Server,
    load: CacheLoad,
    *,
    layers: Sequence[LayerChoice] | None = None,
    kv_bits: int | None = None,
    num_stored_heads: int | None = None,
) -> Capacity:
    """Return how long contexts and how large batches may get.

    A plan's model has fewer K and V weights as well: each head that is not cached is not stored.
    Linear maps come on top.

    Parameters
    ----------
    spec : ModelSpec
        The source model.
    server : Server
        The GPU, and the source's weights.
    load : CacheLoad
        Batch for the longest context, context for the largest batch, and type of the cache.
    layers : sequence of LayerChoice, optional
        The plan's; the numbers below are then known.
    kv_bits : int, optional
        Bits of a KV cache per token that grows evenly; the source's by default.
    num_stored_heads : int, optional
        K heads plus V heads that are kept over all layers; the source's by default.
    """
    if layers is not None:
        kv_bits = sum(layer.bits_per_token(spec) for layer in layers)
        pictures = [layer.picture(spec.num_kv_heads) for layer in layers]
        num_stored_heads = sum(picture.num_stored_heads for picture in pictures)
    kv_bits = spec.kv_bits if kv_bits is None else kv_bits
    of_maps = sum(layer.map_weights(spec) for layer in layers or ())
    with_maps = replace(server, num_parameters=server.num_parameters + of_maps)
    weights = weight_bytes(spec, with_maps, num_stored_heads or spec.num_stored_heads)
    room = max(0, int(server.memory_gib * GIB * server.utilization) - weights)
    if layers is not None:
        size = CacheSize.of(layers, spec, load.dtype)
        longest = size.most_tokens(room // load.batch_size)
        batch = room // size.at(load.context_tokens)
    else:
        token_bytes = replace(load, context_tokens=1, batch_size=1).cache_bytes(spec, kv_bits)
        longest = room // (token_bytes * load.batch_size)
        batch = room // (token_bytes * load.context_tokens)
    return Capacity(
        kv_bits=kv_bits,
        weight_bytes=weights,
        cache_bytes=room,
        longest_context_tokens=longest,
        largest_batch=batch,
    )


def weight_bytes(spec: ModelSpec, server: Server, num_stored_heads: int) -> int:
    """Return the bytes of the weights when so many K and V heads are kept."""
    saved = (spec.num_stored_heads - num_stored_heads) * spec.weights_per_head
    return int((server.num_parameters - saved) * WEIGHT_BYTES[server.weight_dtype])
