"""The mean of a group's heads after they are turned onto each other (arXiv 2412.20677)."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from qcqa.reduce.groups.grouping import LayerGrouping
from qcqa.reduce.groups.merge.absorb import heads_of, shared_layer
from qcqa.reduce.groups.merge.context import LayerContext
from qcqa.reduce.groups.merge.layer_weights import LayerWeights, Role
from qcqa.reduce.groups.subspace.fit import Fit
from qcqa.reduce.groups.subspace.gram import in_metric
from qcqa.reduce.groups.subspace.layer import LayerSubspaces

FloatArray = NDArray[np.floating]
#: Turns of generalised Procrustes analysis, each onto the mean of the last; few gain anything.
_TURNS = 10


class AlignedMerge:
    """Turns the heads of a group onto their mean by orthogonal maps, which Q and O take in.

    Where keys rotate, only rotations within each rotary plane are allowed. Keys behind a norm,
    and heads that are clipped, are not turned: their shared head is the mean.
    """

    needs: frozenset[Role] = frozenset({"query", "key", "value", "output", "key_norm"})

    def __call__(
        self, weights: LayerWeights, grouping: LayerGrouping, context: LayerContext
    ) -> LayerWeights:
        """Return the layer with one key head and one value head per group."""
        heads = heads_of(weights, context)
        return shared_layer(weights, grouping, partial(_key_fit, heads), partial(_value_fit, heads))


def _key_fit(heads: LayerSubspaces, group: tuple[int, ...]) -> Fit:
    keys = heads.key[list(group)]
    turns = np.tile(np.eye(keys.shape[1]), (len(group), 1, 1))
    if heads.norm is None and not heads.is_clipped:
        for plane in heads.planes:
            _turn(turns, keys, plane, heads.moment, is_plane=True)
        if heads.unrotated.size:
            _turn(turns, keys, heads.unrotated, heads.moment, is_plane=False)
    return _mean_of(turns)


def _value_fit(heads: LayerSubspaces, group: tuple[int, ...]) -> Fit:
    values = heads.value[list(group)]
    turns = np.tile(np.eye(values.shape[1]), (len(group), 1, 1))
    if not heads.is_clipped:
        dimensions = np.arange(values.shape[1])
        _turn(turns, values, dimensions, heads.moment, is_plane=False)
    return _mean_of(turns)


def _mean_of(turns: FloatArray) -> Fit:
    """Return the fit whose shared head is the mean of turned heads."""
    return Fit(mix=turns / len(turns), basis=turns.transpose(0, 2, 1))


def _turn(
    turns: FloatArray,
    heads: FloatArray,
    dimensions: NDArray[np.integer],
    moment: FloatArray | None,
    *,
    is_plane: bool,
) -> None:
    """Write into ``turns`` (m, dh, dh) how some dimensions of heads (m, dh, e) are to be turned."""
    rows = heads[:, dimensions]
    num_heads, size, width = rows.shape
    flat = rows.reshape(-1, width)
    products = flat @ in_metric(flat, moment).T
    inner = products.reshape(num_heads, size, num_heads, size).transpose(0, 2, 1, 3)  # (m, m, n, n)
    found: FloatArray = np.tile(np.eye(size), (num_heads, 1, 1))
    # The first turn is onto the first head, the others onto the mean of all.
    onto = np.concatenate([found[:1], np.zeros_like(found[1:])])
    for _ in range(_TURNS):
        cross = np.einsum("jab,jibc->iac", onto, inner)  # reference times head i
        found = _rotations(cross) if is_plane else _orthogonal(cross)
        onto = found / num_heads
    turns[:, dimensions[:, None], dimensions] = found


def _orthogonal(cross: FloatArray) -> FloatArray:
    """Return the orthogonal maps of largest inner product with matrices (m, n, n)."""
    left, _, right = np.linalg.svd(cross)
    return np.asarray(left @ right)


def _rotations(cross: FloatArray) -> FloatArray:
    """Return the rotations of largest inner product with matrices (m, 2, 2)."""
    along = cross[:, 0, 0] + cross[:, 1, 1]
    across = cross[:, 1, 0] - cross[:, 0, 1]
    angle = np.arctan2(across, along)
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2)
