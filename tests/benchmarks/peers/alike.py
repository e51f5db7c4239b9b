"""Aligned means of heads that are alike, after arXiv 2412.20677.

"Align Attention Heads Before Merging Them: An Effective Way for Converting MHA to GQA": heads of a
group are turned onto their mean by orthogonal maps, which queries and the output projection take
in, and their mean is kept. The maps are found by generalised Procrustes analysis on calibration
text; behind a rotary embedding those of keys turn each of its planes by itself. That is this
package's merge ``aligned``, which weighs distances by the second moment of the attention's input:
on states of the same text it comes to the same.

Groups are equally large, alike for keys and values as GQA has them, and chosen so that heads which
share are alike after alignment: the sum over pairs of the cosines of their keys and of their values
is climbed by swaps of two heads from groups of neighbours (there: simulated annealing).

Left out: the training with ``L0`` masks that follows there.
"""

from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from qcqa.conversion.live import source_heads
from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.groups.grouping import Grouping
from qcqa.reduce.groups.merge import MERGES
from qcqa.reduce.groups.merge.absorb import heads_of
from qcqa.reduce.groups.subspace.gram import in_metric
from qcqa.reduce.groups.subspace.layer import LayerSubspaces
from tests.benchmarks.peers.ground import Ground, Made, Peer
from tests.benchmarks.peers.plans import made_of, plan_within

FloatArray = NDArray[np.floating]


def products(heads: FloatArray, moment: FloatArray | None) -> FloatArray:
    """Return ``A_i C A_j'`` of all pairs of heads (H, n, e), shape (H, H, n, n)."""
    flat = heads.reshape(-1, heads.shape[-1])
    count, size = heads.shape[:2]
    product = flat @ in_metric(flat, moment).T
    return product.reshape(count, size, count, size).transpose(0, 2, 1, 3)


def likeness(layer: LayerSubspaces) -> FloatArray:
    """Return the cosines of keys plus those of values, once each is turned onto the other (H, H).

    The best orthogonal map has the sum of the singular values of ``A_i C A_j'``; the best rotation
    of a plane the absolute value of its complex product.
    """
    values = products(layer.value, layer.moment)
    found = _cosines(values, np.linalg.svd(values, compute_uv=False).sum(-1))
    keys = products(layer.key, layer.moment)
    turned = np.zeros(keys.shape[:2])
    for first, second in layer.planes:
        along = keys[..., first, first] + keys[..., second, second]
        across = keys[..., second, first] - keys[..., first, second]
        turned += np.hypot(along, across)
    if layer.unrotated.size:
        free = keys[:, :, layer.unrotated[:, None], layer.unrotated]
        turned += np.linalg.svd(free, compute_uv=False).sum(-1)
    return found + _cosines(keys, turned)


def _cosines(pairs: FloatArray, turned: FloatArray) -> FloatArray:
    lengths = np.sqrt(np.einsum("iiaa->i", pairs))
    return turned / np.outer(lengths, lengths)


def alike_groups(likeness: FloatArray, num_groups: int) -> Grouping:
    """Return groups of one size whose heads are alike; no swap of two heads makes it better."""
    labels = np.array(Grouping.contiguous(len(likeness), num_groups).labels)

    def total(labels: NDArray[np.integer]) -> float:
        return float(likeness[labels[:, None] == labels].sum())

    best, improves = total(labels), True
    while improves:
        improves = False
        for one, other in zip(*np.triu_indices(len(labels), 1), strict=True):
            swapped = labels.copy()
            swapped[[one, other]] = labels[[other, one]]
            if (found := total(swapped)) > best + 1e-12:
                labels, best, improves = swapped, found, True
    return Grouping.from_labels(labels)


def make(ground: Ground, ratio: float, *, regroups: bool) -> Made:
    """Return aligned means in the numbers of groups that GQA has within a KV ratio."""
    about, calibration = ground.calibration()
    plan = plan_within(ground, ratio, "gqa")
    layers = plan.layers
    if regroups:
        layers = ()
        for layer, picture in enumerate(plan.pictures):
            weights, context = source_heads(
                ground.source, layer, needs=MERGES["aligned"].needs, moments=calibration.moment
            )
            group = alike_groups(likeness(heads_of(weights, context)), picture.key.num_stored)
            layers += (LayerChoice((group,), (group,)),)
    return made_of(ground, replace(plan, layers=layers, merge="aligned", calibration=about))


PEERS = (
    Peer("aligned", "aligned means, alike heads", partial(make, regroups=True)),
    Peer("aligned-neighbours", "aligned means, neighbours", partial(make, regroups=False)),
)
