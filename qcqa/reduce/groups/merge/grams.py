"""What a search needs to know of a layer for the fitness ``output-error``."""

from qcqa.reduce.groups.merge.absorb import heads_of
from qcqa.reduce.groups.merge.context import LayerContext
from qcqa.reduce.groups.merge.layer_weights import LayerWeights
from qcqa.reduce.groups.subspace.grams import SubspaceGrams


def layer_grams(weights: LayerWeights, context: LayerContext) -> SubspaceGrams:
    """Return the Grams from which the error of any svd merge of a layer is told.

    In double precision: some models have directions beside which what a group loses is a ten
    millionth, and products in single precision move such an error by a third.

    Parameters
    ----------
    weights : LayerWeights
        With queries and the output projection.
    context : LayerContext
        As the merge gets it, so that the error is that of the merge.
    """
    return heads_of(weights, context).grams()
