"""Choices that settings, fronts and plans name alike."""

from typing import Literal

#: By what a search judges groupings: the weights alone, the error of the attention's output on
#: calibration text, or the measured rise of the loss on it.
Fitness = Literal["wse", "output-error", "loss"]

#: How the shared head of a group is computed: the mean of its heads, the mean rescaled to their
#: norm, the mean of heads rotated onto each other (arXiv 2412.20677), or their best subspace.
Merge = Literal["mean", "mean-norm", "aligned", "svd"]

#: Which of a layer's heads a grouping is for: keys and values alike, or one of them.
Kind = Literal["shared", "key", "value"]
