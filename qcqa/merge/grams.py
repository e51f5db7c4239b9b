"""What a search needs to know of a layer for the fitness ``output-error``."""

import torch

from qcqa.merge.absorb import heads_of
from qcqa.merge.context import LayerContext
from qcqa.merge.layer_weights import LayerWeights
from qcqa.subspace.grams import SubspaceGrams


def layer_grams(weights: LayerWeights, context: LayerContext) -> SubspaceGrams:
    """Return the Grams from which the error of any svd merge of a layer is told.

    They are computed in the single precision in which they are kept: at a hidden size of 4096 in
    half the time, and errors of groups differ by a few millionths, where they are a hundred
    thousandth of the total.

    Parameters
    ----------
    weights : LayerWeights
        With queries and the output projection.
    context : LayerContext
        As the merge gets it, so that the error is that of the merge.
    """
    return heads_of(weights, context, torch.float32).grams()
