"""Choices that settings, fronts and plans name alike."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

#: By what a search judges groupings: the weights alone, the error of the attention's output on
#: calibration text, or the measured rise of the loss on it.
Fitness = Literal["wse", "output-error", "loss"]

#: How the shared head of a group is computed: the mean of its heads, the mean rescaled to their
#: norm, the mean of heads rotated onto each other (arXiv 2412.20677), or their best subspace.
MergeName = Literal["mean", "mean-norm", "aligned", "svd"]

#: Which of a layer's heads a grouping is for: keys and values alike, or one of them.
Kind = Literal["shared", "key", "value"]

#: Names of QCQA where weights alone judge its plans, by those of QCQA as published.
BY_WEIGHTS: Mapping[str, str] = MappingProxyType(
    {"qcqa-ac": "qcqa-ac-wse", "qcqa-ec": "qcqa-ec-wse"}
)


def name_today(method: str, judged_by: Fitness) -> str:
    """Return what a method is called whose plans are judged by a fitness.

    Files of releases that did not tell them apart have QCQA by weights alone as QCQA as published.
    """
    return BY_WEIGHTS.get(method, method) if judged_by == "wse" else method
