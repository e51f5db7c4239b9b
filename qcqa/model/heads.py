"""From projection weights to heads: which output rows belong to which head."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from qcqa.model.architecture import Architecture
from qcqa.model.spec import ModelSpec

RowRanges = list[tuple[int, int]]
Role = Literal["query", "key", "value"]


@dataclass(frozen=True, slots=True, eq=False)
class LayerHeads:
    """Weights of one layer's K and V heads, as the search sees them.

    Parameters
    ----------
    key, value : array, shape (H, dh, d), float32
        Rows of the projections head by head; ``(H, dh, d + 1)`` with the bias as last column
        where there is one.
    """

    key: NDArray[np.float32]
    value: NDArray[np.float32]


def weight_rows(architecture: Architecture, spec: ModelSpec) -> int:
    """Return the output rows of each K or V module, or of the fused one."""
    heads = spec.num_kv_heads
    if architecture.layout != "separate":
        heads = spec.num_query_heads + 2 * spec.num_kv_heads
    return heads * spec.head_dim


def row_ranges(architecture: Architecture, spec: ModelSpec, role: Role) -> RowRanges:
    """Return where the heads of one role lie among the output rows of their module.

    Returns
    -------
    list of (int, int)
        First and past-the-last row of each stretch. Stretches and the heads in them are in the
        order of the heads.
    """
    size = spec.head_dim
    num_heads = spec.num_query_heads if role == "query" else spec.num_kv_heads
    if architecture.layout == "separate":
        return [(0, num_heads * size)]
    if architecture.layout == "concatenated":
        heads_before = {
            "query": 0,
            "key": spec.num_query_heads,
            "value": spec.num_query_heads + spec.num_kv_heads,
        }[role]
        return [(heads_before * size, (heads_before + num_heads) * size)]
    # Grouped: each KV head has a block of its query heads, its key and its value.
    queries = spec.num_query_heads // spec.num_kv_heads
    first, last = {
        "query": (0, queries),
        "key": (queries, queries + 1),
        "value": (queries + 1, queries + 2),
    }[role]
    blocks = [block * (queries + 2) for block in range(spec.num_kv_heads)]
    return [((block + first) * size, (block + last) * size) for block in blocks]
