"""The mean of a group's heads, as long as its heads are."""

import torch
from torch import Tensor

from qcqa.reduce.groups.grouping import Grouping
from qcqa.reduce.groups.merge.mean import MeanMerge, mean_of_groups


class MeanNormMerge(MeanMerge):
    """Replaces the heads of a group by their mean, rescaled to their root mean square norm.

    Trained heads are nearly orthogonal, so the mean of ``n`` is about ``sqrt(n)`` times too short:
    logits get flat and values small. The root mean square, not the mean, of the norms: then the
    squared norm of all keys of a layer, and of all values, is what it was.
    """

    def _shared(self, heads: Tensor, grouping: Grouping) -> Tensor:
        means = mean_of_groups(heads, grouping)
        for label, group in enumerate(grouping.groups):
            if len(group) > 1:
                members = heads[list(group)].double()
                mean = members.mean(dim=0)
                if mean.any():
                    wanted = torch.sqrt((members**2).sum() / len(group))
                    means[label] = (mean * (wanted / mean.norm())).to(heads.dtype)
        return means
