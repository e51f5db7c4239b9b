"""How the shared head of a group is computed: from a layer's heads to fewer of them.

A merge is one file with one function object: it says which weights it needs, and returns a layer
with as many key and value heads as the grouping has groups. ``mean`` changes keys and values only;
one that absorbs a change of basis changes queries and the output projection with them.
"""

from collections.abc import Mapping

from qcqa.errors import PlanError
from qcqa.merge.aligned import AlignedMerge
from qcqa.merge.context import LayerContext
from qcqa.merge.layer_weights import LayerWeights, Merge, Role
from qcqa.merge.mean import MeanMerge
from qcqa.merge.mean_norm import MeanNormMerge
from qcqa.merge.svd import SvdMerge

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


__all__ = ["MERGES", "LayerContext", "LayerWeights", "MeanMerge", "Merge", "Role", "merge_named"]
