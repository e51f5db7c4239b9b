"""Between a model's weights and fits of heads: shared heads in, changes of basis into Q and O."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qcqa.grouping import Grouping
from qcqa.merge.context import LayerContext
from qcqa.merge.layer_weights import LayerWeights
from qcqa.subspace.fit import Fit
from qcqa.subspace.layer import LayerHeads, layer_heads

FloatArray = NDArray[np.floating]
#: Change of basis (dh, dh) of each head that shares with another: head = basis @ shared head.
Bases = Mapping[int, FloatArray]


def heads_of(weights: LayerWeights, context: LayerContext) -> LayerHeads:
    """Return a layer's heads in float64, with the weights of their errors."""
    query, output = queries_and_output(weights)
    return layer_heads(
        wide(query),
        wide(weights.key),
        wide(weights.value),
        wide(output),
        moment=None if context.moment is None else wide(context.moment),
        planes=context.rotary_planes,
        norm=context.key_norm,
        is_clipped=context.is_clipped,
    )


def queries_and_output(weights: LayerWeights) -> tuple[Tensor, Tensor]:
    """Return the weights that take changes of basis in."""
    if weights.query is None or weights.output is None:
        raise AssertionError("the merge says that it needs them")
    return weights.query, weights.output


def wide(tensor: Tensor) -> FloatArray:
    """Return a tensor in float64."""
    return np.asarray(tensor.detach().to("cpu", torch.float64).numpy())


def share(
    stored: Tensor, grouping: Grouping, fit_of: Callable[[tuple[int, ...]], Fit]
) -> tuple[Tensor, Bases]:
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
        head = fit.shared(wide(stored[list(group)]))
        shared.append(torch.from_numpy(head).to(stored))
        bases |= zip(group, fit.basis, strict=True)
    return torch.stack(shared), bases


def absorb(
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
        own = slice(head * queries, (head + 1) * queries)
        query[own] = torch.from_numpy(basis.T @ wide(query[own])).to(query)
    for head, basis in value_bases.items():
        own = slice(head * queries, (head + 1) * queries)
        output[:, own] = torch.from_numpy(wide(output[:, own]) @ basis).to(output)
    return query, output
