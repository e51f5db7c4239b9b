"""Smaller heads: the least dimensions of every head of a site go.

The "KQV" of a poster of TU Delft: rotary planes of a head are kept or left out as they are, by
their weighted energy; of what does not rotate a head keeps its best subspace, the one of
:mod:`qcqa.reduce.latent.fit` for one head alone. How many each head keeps is decided over all heads
of the site, by :meth:`qcqa.reduce.spectra.Spectrum.best`.
"""

import numpy as np
from numpy.typing import NDArray

from qcqa.reduce.choice import SiteKind
from qcqa.reduce.facts import SiteFacts, sized
from qcqa.reduce.groups.subspace.free import free_gram, roots_of
from qcqa.reduce.groups.subspace.layer import LayerSubspaces
from qcqa.reduce.head_dim.choice import HeadDim
from qcqa.reduce.linear_map import LinearMap
from qcqa.reduce.spectra import SiteSpectra

FloatArray = NDArray[np.floating]


def head_dim_of(spectra: SiteSpectra, elements: int) -> HeadDim:
    """Return the smaller heads of least error for at most so many elements per token."""
    kept = spectra.by_head.best(elements)
    planes = tuple(tuple(np.flatnonzero(heads).tolist()) for heads in kept.planes)
    free = tuple(kept.free.sum(axis=1).tolist()) if kept.free.size else ()
    return HeadDim(planes, free)


def offered_head_dims(_options: None, facts: SiteFacts) -> tuple[HeadDim, ...]:
    """Return the best smaller heads of several sizes for a site."""
    return sized(facts, head_dim_of, head_dim_error)


def head_dim_error(spectra: SiteSpectra, choice: HeadDim) -> float:
    """Return what smaller heads lose of the attention's output, squared."""
    planes, free = spectra.by_head.planes, spectra.by_head.free
    lost = sum(
        energy.sum() - energy[list(heads)].sum()
        for energy, heads in zip(planes, choice.planes, strict=True)
    )
    return float(lost + sum(own[size:].sum() for own, size in zip(free, choice.free, strict=False)))


def fit_head_dim(choice: HeadDim, heads: LayerSubspaces, kind: SiteKind) -> LinearMap:
    """Return the map into the dimensions that are kept, head by head.

    Parameters
    ----------
    choice : HeadDim
        With every rotary plane and every head of the layer.
    heads : LayerSubspaces
        Of the layer.
    kind : SiteKind
        Its keys or its values.

    Raises
    ------
    CheckpointError
        If no map passes a norm or a clip behind the heads.
    """
    heads.require_maps(kind)
    is_key = kind == "key"
    num_heads = len(heads.key)
    planes = np.zeros((len(choice.planes), max(map(len, choice.planes), default=0), num_heads))
    for plane, keeping in enumerate(choice.planes):
        planes[plane, range(len(keeping)), keeping] = 1.0
    rows = heads.key[:, heads.unrotated] if is_key else heads.value
    moment = heads.spread if is_key else heads.moment
    size = rows.shape[1]
    width = sum(choice.free)
    encode, decode = np.zeros((width, num_heads, size)), np.zeros((num_heads, size, width))
    roots, inverses = roots_of(heads.free_weights(kind)) if width else (rows, rows)
    first = 0
    for head, rank in enumerate(choice.free):
        gram = free_gram(rows[[head]], roots[[head]], moment).gram[0, :, 0]
        vectors = np.linalg.eigh(gram)[1][:, ::-1][:, :rank]  # (f, rank)
        # One scale leaves a head about as large as it was.
        scale = float(np.linalg.norm(roots[head])) / np.sqrt(size) or 1.0
        encode[first : first + rank, head] = vectors.T @ roots[head] / scale
        decode[head, :, first : first + rank] = inverses[head] @ vectors * scale
        first += rank
    return LinearMap(
        plane_encode=planes.astype(complex),
        plane_decode=planes.transpose(0, 2, 1).astype(complex),
        free_encode=encode.reshape(width, num_heads * size),
        free_decode=decode.reshape(num_heads * size, width),
    )
