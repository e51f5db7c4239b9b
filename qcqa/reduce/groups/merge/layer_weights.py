"""The weights of one layer's attention, head by head: what a merge takes and gives back."""

from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

from qcqa.reduce.groups.grouping import LayerGrouping
from qcqa.reduce.groups.merge.context import LayerContext

Role = Literal["query", "key", "value", "output", "key_norm"]


@dataclass(frozen=True, slots=True, eq=False)
class LayerWeights:
    """Weights of one layer's attention, in the type in which the model stores them.

    Projections hold a head's rows; where they have a bias it is one more column, the last.

    Parameters
    ----------
    key, value : Tensor, shape (heads, dh, d) or (heads, dh, d + 1)
        ``H`` heads before a merge, one per group after it.
    query : Tensor, shape (Hq, dh, d) or (Hq, dh, d + 1), or None
        None where the merge leaves queries as they are.
    output : Tensor, shape (d, Hq, dh), or None
        The output projection, without its bias; None where the merge leaves it as it is.
    key_norm : Tensor, shape (H, dh), or None
        Scales of a norm that differ between key heads, ``H`` of them after a merge too; None
        where the model has no such norm.
    """

    key: Tensor
    value: Tensor
    query: Tensor | None = None
    output: Tensor | None = None
    key_norm: Tensor | None = None


class Merge(Protocol):
    """Computes the shared heads of a layer."""

    @property
    def needs(self) -> frozenset[Role]:
        """The weights that it reads and may change; keys and values at least."""

    def __call__(
        self, weights: LayerWeights, grouping: LayerGrouping, context: LayerContext
    ) -> LayerWeights:
        """Return the layer with one key head and one value head per group, in their order."""
