"""The mean of a group's heads, as long as its heads are."""

import torch
from torch import Tensor

from qcqa.grouping import Grouping, LayerGrouping
from qcqa.merge.context import LayerContext
from qcqa.merge.layer_weights import LayerWeights, Role
from qcqa.merge.mean import mean_of_groups, shared_scales


class MeanNormMerge:
    """Replaces the heads of a group by their mean, rescaled to their root mean square norm.

    Trained heads are nearly orthogonal, so the mean of ``n`` is about ``sqrt(n)`` times too short:
    logits get flat and values small. The root mean square, not the mean, of the norms: then the
    squared norm of all keys of a layer, and of all values, is what it was.
    """

    needs: frozenset[Role] = frozenset({"key", "value", "key_norm"})

    def __call__(
        self,
        weights: LayerWeights,
        grouping: LayerGrouping,
        context: LayerContext,  # noqa: ARG002  # of every merge
    ) -> LayerWeights:
        """Return the layer with the rescaled mean of each group."""
        return LayerWeights(
            key=_rescaled_means(weights.key, grouping.key),
            value=_rescaled_means(weights.value, grouping.value),
            query=weights.query,
            output=weights.output,
            key_norm=shared_scales(weights.key_norm, grouping.key),
        )


def _rescaled_means(heads: Tensor, grouping: Grouping) -> Tensor:
    """Return a head (groups, dh, e) for each group of heads (H, dh, e)."""
    means = mean_of_groups(heads, grouping)
    for label, group in enumerate(grouping.groups):
        if len(group) > 1:
            members = heads[list(group)].double()
            mean = members.mean(dim=0)
            if mean.any():
                wanted = torch.sqrt((members**2).sum() / len(group))
                means[label] = (mean * (wanted / mean.norm())).to(heads.dtype)
    return means
