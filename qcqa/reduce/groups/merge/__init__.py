"""How the shared head of a group is computed: from a layer's heads to fewer of them.

A merge is one file with one function object: it says which weights it needs, and returns a layer
with as many key and value heads as the grouping has groups. ``mean`` changes keys and values only;
one that absorbs a change of basis changes queries and the output projection with them.
"""

from collections.abc import Mapping

from qcqa.errors import PlanError
from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.groups.grouping import LayerGrouping
from qcqa.reduce.groups.merge.aligned import AlignedMerge
from qcqa.reduce.groups.merge.context import LayerContext
from qcqa.reduce.groups.merge.layer_weights import LayerWeights, Merge
from qcqa.reduce.groups.merge.mean import MeanMerge
from qcqa.reduce.groups.merge.mean_norm import MeanNormMerge
from qcqa.reduce.groups.merge.svd import SvdMerge

MERGES: Mapping[str, Merge] = {
    "mean": MeanMerge(),
    "mean-norm": MeanNormMerge(),
    "aligned": AlignedMerge(),
    "svd": SvdMerge(),
}


def merge_named(name: str) -> Merge:
    """Return the merge that a plan names.

    Raises
    ------
    PlanError
        If there is none.
    """
    if name not in MERGES:
        raise PlanError(f"merge {name!r}", expected=f"one of {', '.join(MERGES)}")
    return MERGES[name]


def merged_layer(
    merge: Merge, weights: LayerWeights, choice: LayerChoice, context: LayerContext
) -> LayerWeights:
    """Return a layer in which heads share as is chosen there; see :class:`Merge`."""
    return merge(weights, LayerGrouping.of(choice, len(weights.key)), context)
