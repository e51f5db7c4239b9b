"""Shared heads by the best common subspace of a group, with changes of basis in Q and O."""

from qcqa.reduce.groups.grouping import LayerGrouping
from qcqa.reduce.groups.merge.absorb import heads_of, shared_layer
from qcqa.reduce.groups.merge.context import LayerContext
from qcqa.reduce.groups.merge.layer_weights import LayerWeights, Role


class SvdMerge:
    """Shares the subspace of least output error; ``subspace/`` has the formulas.

    Keys that rotate may differ by a complex scalar in each rotary plane, all other dimensions by
    any change of basis. The query heads and the columns of the output projection that belong to
    a head take it in. A group of one head is left bit for bit as it was.

    Where a norm or a clip lets no change of basis pass (``Architecture.svd_limits`` says so), heads
    share a weighted mean instead: the keys alone for a norm.
    """

    needs: frozenset[Role] = frozenset({"query", "key", "value", "output", "key_norm"})

    def __call__(
        self, weights: LayerWeights, grouping: LayerGrouping, context: LayerContext
    ) -> LayerWeights:
        """Return the layer with one key head and one value head per group."""
        heads = heads_of(weights, context)
        return shared_layer(weights, grouping, heads.key_fit, heads.value_fit)
