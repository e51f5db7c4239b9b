"""The mean of a group's heads: the merge of GQA (arXiv 2305.13245) and QCQA (arXiv 2406.10247)."""

import torch
from torch import Tensor

from qcqa.reduce.groups.grouping import Grouping, LayerGrouping
from qcqa.reduce.groups.merge.context import LayerContext
from qcqa.reduce.groups.merge.layer_weights import LayerWeights, Role


class MeanMerge:
    """Replaces the heads of a group by their mean: weights, biases and a norm's scales alike."""

    needs: frozenset[Role] = frozenset({"key", "value", "key_norm"})

    def __call__(
        self,
        weights: LayerWeights,
        grouping: LayerGrouping,
        context: LayerContext,  # noqa: ARG002  # every merge is called with it
    ) -> LayerWeights:
        """Return the layer with one head per group; queries and output as they were."""
        return LayerWeights(
            key=self._shared(weights.key, grouping.key),
            value=self._shared(weights.value, grouping.value),
            query=weights.query,
            output=weights.output,
            key_norm=shared_scales(weights.key_norm, grouping.key),
        )

    def _shared(self, heads: Tensor, grouping: Grouping) -> Tensor:
        """Return a head (groups, dh, e) for each group of heads (H, dh, e)."""
        return mean_of_groups(heads, grouping)


def shared_scales(scales: Tensor | None, grouping: Grouping) -> Tensor | None:
    """Return a norm's scales (H, dh) after a merge: still one per head, as a norm keeps them.

    Equal within a group, because a cached key has been through it.
    """
    return None if scales is None else mean_of_groups(scales, grouping)[list(grouping.labels)]


def mean_of_groups(heads: Tensor, grouping: Grouping) -> Tensor:
    """Return the mean of each group's heads.

    Parameters
    ----------
    heads : Tensor, shape (H, ...)
        Of any float type; means are taken in float32 at least.
    grouping : Grouping
        Of ``H`` heads.

    Returns
    -------
    Tensor, shape (groups, ...)
        In the type of ``heads``; a head that is alone in its group comes back bit for bit.
    """
    wide = torch.promote_types(heads.dtype, torch.float32)
    means = [
        heads[group[0]] if len(group) == 1 else heads[list(group)].to(wide).mean(0).to(heads.dtype)
        for group in grouping.groups
    ]
    return torch.stack(means)
