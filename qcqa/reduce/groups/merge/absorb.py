"""Between a model's weights and fits of heads: shared heads in, changes of basis into Q and O."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qcqa.reduce.groups.grouping import Grouping, LayerGrouping
from qcqa.reduce.groups.merge.context import LayerContext
from qcqa.reduce.groups.merge.layer_weights import LayerWeights
from qcqa.reduce.groups.merge.mean import shared_scales
from qcqa.reduce.groups.subspace.fit import Fit
from qcqa.reduce.groups.subspace.layer import LayerSubspaces, layer_subspaces

FloatArray = NDArray[np.floating]
#: Change of basis (dh, dh) of each head that shares with another: head = basis @ shared head.
Bases = Mapping[int, FloatArray]
#: Returns the fit of a group of two heads or more.
FitOf = Callable[[tuple[int, ...]], Fit]


def heads_of(weights: LayerWeights, context: LayerContext) -> LayerSubspaces:
    """Return a layer's heads in float64, with the weights of their errors."""
    query, output = _queries_and_output(weights)
    return layer_subspaces(
        _wide(query),
        _wide(weights.key),
        _wide(weights.value),
        _wide(output),
        moment=None if context.moment is None else _wide(context.moment),
        planes=context.rotary_planes,
        norm=context.key_norm,
        is_clipped=context.is_clipped,
    )


def shared_layer(
    weights: LayerWeights, grouping: LayerGrouping, key_fit: FitOf, value_fit: FitOf
) -> LayerWeights:
    """Return the layer with one key head and one value head per group, in their order.

    Queries and the output projection take their head's change of basis in.

    Parameters
    ----------
    weights : LayerWeights
        With queries and the output projection.
    grouping : LayerGrouping
        Of ``H`` heads.
    key_fit, value_fit : callable
        Fit a group of two heads or more.
    """
    key, key_bases = _share(weights.key, grouping.key, key_fit)
    value, value_bases = _share(weights.value, grouping.value, value_fit)
    query, output = _absorb(*_queries_and_output(weights), key_bases, value_bases, len(weights.key))
    return LayerWeights(
        query=query,
        key=key,
        value=value,
        output=output,
        key_norm=shared_scales(weights.key_norm, grouping.key),
    )


def _wide(tensor: Tensor) -> FloatArray:
    """Return a tensor in float64."""
    return np.asarray(tensor.detach().to("cpu", torch.float64).numpy())


def _queries_and_output(weights: LayerWeights) -> tuple[Tensor, Tensor]:
    """Return the weights that take changes of basis in."""
    if weights.query is None or weights.output is None:
        raise AssertionError("the merge says that it needs them")
    return weights.query, weights.output


def _share(stored: Tensor, grouping: Grouping, fit_of: FitOf) -> tuple[Tensor, Bases]:
    """Return the shared head of every group, and what its heads are of it.

    Parameters
    ----------
    stored : Tensor, shape (H, dh, e)
        Heads as the model has them.
    grouping : Grouping
        Of ``H`` heads.
    fit_of : callable
        Fits a group of two heads or more.

    Returns
    -------
    shared : Tensor, shape (groups, dh, e)
        In the type of ``stored``; a head that is alone in its group comes back bit for bit.
    bases : mapping
        Of the heads that share.
    """
    shared, bases = [], dict[int, FloatArray]()
    for group in grouping.groups:
        if len(group) == 1:
            shared.append(stored[group[0]])
            continue
        fit = fit_of(group)
        head = fit.shared(_wide(stored[list(group)]))
        shared.append(torch.from_numpy(head).to(stored))
        bases |= zip(group, fit.basis, strict=True)
    return torch.stack(shared), bases


def _absorb(
    query: Tensor, output: Tensor, key_bases: Bases, value_bases: Bases, num_heads: int
) -> tuple[Tensor, Tensor]:
    """Return queries and output projection that take their head's change of basis in.

    Parameters
    ----------
    query : Tensor, shape (Hq, dh, e)
        Becomes ``A' Q`` where the key head is ``A`` times a shared one.
    output : Tensor, shape (d, Hq, dh)
        Becomes ``O A`` where the value head is ``A`` times a shared one.
    key_bases, value_bases : mapping
        ``A`` of the heads that share.
    num_heads : int
        KV heads, ``H``.
    """
    queries = len(query) // num_heads
    query, output = query.clone(), output.clone()
    for head, basis in key_bases.items():
        readers = slice(head * queries, (head + 1) * queries)
        query[readers] = torch.from_numpy(basis.T @ _wide(query[readers])).to(query)
    for head, basis in value_bases.items():
        readers = slice(head * queries, (head + 1) * queries)
        output[:, readers] = torch.from_numpy(_wide(output[:, readers]) @ basis).to(output)
    return query, output
