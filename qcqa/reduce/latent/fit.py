"""The best latents of a layer's keys or values: a joint subspace of all heads.

Keys in a rotary plane ``p`` are one complex row ``k_ip`` for each head, and ``z_p = E_p k_p`` with
a complex ``E_p`` (r_p, H) commutes with the rotation. With the weights ``w_ip`` of
:mod:`qcqa.reduce.groups.subspace.planes` and the top eigenvectors ``U`` of the Gram of the rows
``sqrt(w_ip) k_ip``,

    E_p = U' diag(sqrt(w_p)),    D_p = diag(1 / sqrt(w_p)) U

lose the eigenvalues that are left out, and no other map of this rank loses less (Eckart and Young).
Values, and dimensions of keys that do not rotate, are one real map of the same kind over all heads
(arXiv 2406.07056, section 3.2), with the roots of :mod:`qcqa.reduce.groups.subspace.free`. Which
directions a number of elements has room for says :meth:`qcqa.reduce.spectra.Spectrum.best`.
"""

import numpy as np
from numpy.typing import NDArray

from qcqa.reduce.choice import SiteKind
from qcqa.reduce.facts import SiteFacts, sized
from qcqa.reduce.groups.subspace.free import free_gram, roots_of
from qcqa.reduce.groups.subspace.layer import LayerSubspaces
from qcqa.reduce.groups.subspace.planes import plane_grams
from qcqa.reduce.groups.subspace.spectra import spectra_of
from qcqa.reduce.latent.choice import Latent
from qcqa.reduce.linear_map import ComplexArray, LinearMap
from qcqa.reduce.spectra import SiteSpectra

FloatArray = NDArray[np.floating]


def site_spectra(heads: LayerSubspaces, kind: SiteKind) -> SiteSpectra:
    """Return the energies of a site's directions.

    Parameters
    ----------
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
    grams = heads.weighted(kind)
    spectra = spectra_of(grams, [gram.spectrum() for gram in grams])
    assert spectra is not None
    return spectra


def latent_of(spectra: SiteSpectra, elements: int) -> Latent:
    """Return the ranks of least error for at most so many elements per token."""
    kept = spectra.joint.best(elements)
    return Latent(tuple(kept.planes.sum(axis=1).tolist()), int(kept.free.sum()))


def offered_latents(_options: None, facts: SiteFacts) -> tuple[Latent, ...]:
    """Return the best latents of several sizes for a site."""
    return sized(facts, latent_of, latent_error)


def latent_error(spectra: SiteSpectra, latent: Latent) -> float:
    """Return what a latent loses of the attention's output, squared."""
    planes, free = spectra.joint.planes, spectra.joint.free
    lost = sum(energy[rank:].sum() for energy, rank in zip(planes, latent.planes, strict=True))
    return float(lost + free[latent.free :].sum())


def fit_latent(latent: Latent, heads: LayerSubspaces, kind: SiteKind) -> LinearMap:
    """Return the map of least error of these ranks.

    Parameters
    ----------
    latent : Latent
        With a rank for each of the layer's rotary planes.
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
    if kind == "value":
        planes = _no_planes(len(heads.value))
        rows, moment = heads.value, heads.moment
    else:
        planes = _of_planes(heads, latent.planes)
        rows, moment = heads.key[:, heads.unrotated], heads.spread
    return LinearMap(*planes, *_of_free(rows, heads.free_weights(kind), moment, latent.free))


def _no_planes(num_heads: int) -> tuple[ComplexArray, ComplexArray]:
    return np.zeros((0, 0, num_heads), complex), np.zeros((0, num_heads, 0), complex)


def _of_planes(heads: LayerSubspaces, ranks: tuple[int, ...]) -> tuple[ComplexArray, ComplexArray]:
    """Return the maps (P, R, H) into the latents of each plane, and back (P, H, R)."""
    if not ranks:
        return _no_planes(len(heads.key))
    weights = heads.plane_weights
    gram = plane_grams(heads.key, heads.planes, weights, heads.moment).gram
    highest = max(ranks)
    vectors = np.linalg.eigh(gram)[1][:, :, ::-1][:, :, :highest]  # (P, H, R)
    vectors = vectors * (np.arange(highest) < np.array(ranks)[:, None])[:, None]
    diagonals = weights.T[:, :, None] * np.eye(len(heads.key))  # (P, H, H)
    roots, inverses = roots_of(diagonals)
    scale = _scale(weights)
    encode = np.asarray(vectors.conj().transpose(0, 2, 1) @ roots / scale, complex)
    return encode, np.asarray(inverses @ vectors * scale, complex)


def _of_free(
    rows: FloatArray, weights: FloatArray, moment: FloatArray | None, rank: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the map (n, H f) of all rows (H, f, e) into their latent, and back (H f, n)."""
    num_heads, size, _ = rows.shape
    if not rank:
        return np.zeros((0, num_heads * size)), np.zeros((num_heads * size, 0))
    roots, inverses = roots_of(weights)
    gram = free_gram(rows, roots, moment).gram.reshape(num_heads * size, -1)
    vectors = np.linalg.eigh(gram)[1][:, ::-1][:, :rank].reshape(num_heads, size, rank)
    scale = _scale(np.einsum("iaa->ia", weights))
    encode = np.asarray((roots @ vectors).reshape(-1, rank).T / scale, np.float64)
    return encode, np.asarray((inverses @ vectors).reshape(-1, rank) * scale, np.float64)


def _scale(weights: FloatArray) -> float:
    """Return what leaves latents about as large as the heads that they are made of."""
    return float(np.sqrt(weights.mean())) or 1.0
