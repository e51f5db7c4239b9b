"""Shared heads by the best common subspace of a group, with changes of basis in Q and O."""

from dataclasses import replace

from qcqa.grouping import LayerGrouping
from qcqa.merge.absorb import absorb, heads_of, queries_and_output, share
from qcqa.merge.context import LayerContext
from qcqa.merge.layer_weights import LayerWeights, Role


class SvdMerge:
    """Shares the subspace of least output error; see :mod:`qcqa.subspace` for the formulas.

    Keys that rotate may differ by a complex scalar in each rotary plane, all other dimensions by
    any change of basis. The query heads and the columns of the output projection that belong to
    a head take it in. A group of one head is left bit for bit as it was.
    """

    needs: frozenset[Role] = frozenset({"query", "key", "value", "output", "key_norm"})

    def __call__(
        self, weights: LayerWeights, grouping: LayerGrouping, context: LayerContext
    ) -> LayerWeights:
        """Return the layer with one key head and one value head per group."""
        heads = heads_of(weights, context)
        key, key_bases = share(weights.key, grouping.key, heads.key_fit)
        value, value_bases = share(weights.value, grouping.value, heads.value_fit)
        query, output = absorb(
            *queries_and_output(weights), key_bases, value_bases, len(weights.key)
        )
        return replace(weights, query=query, key=key, value=value, output=output)
