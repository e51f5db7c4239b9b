"""Heads that may not take a change of basis, because a norm or a clip stands behind them.

A norm behind the projection makes a shared head of any length as long as its members, but a change
of basis does not pass it, and the queries have a norm of their own. What does pass is a sign: of
both dimensions of a rotary plane, or of one that does not rotate. So head ``i`` is ``s_ip m_p``
with ``m`` the mean of the group's heads ``s_ip k_ip``, weighted plane by plane by the queries, and
``m`` rescaled to the length of its members where there is a norm. The mean of squares stands in for
a norm that differs from token to token.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qcqa.model.key_norm import KeyNorm
from qcqa.reduce.groups.subspace.fit import Fit
from qcqa.reduce.groups.subspace.gram import in_metric

FloatArray = NDArray[np.floating]


@dataclass(frozen=True, slots=True, eq=False)
class TiedGrams:
    """Inner products between heads, in every plane or single dimension.

    Parameters
    ----------
    gram : array, shape (planes, H, H)
        Of the rows themselves, in the metric of the inputs; real, as signs are.
    weight : array, shape (planes, H)
        Of the error of each row.
    has_norm : bool
        Whether the shared head has the length of its members.
    has_signs : bool
        Whether members may differ in sign.
    """

    gram: NDArray[np.floating]
    weight: NDArray[np.floating]
    has_norm: bool
    has_signs: bool

    @property
    def num_heads(self) -> int:
        """Heads, ``H``."""
        return int(self.gram.shape[1])

    @property
    def total(self) -> float:
        """The error if all heads vanished."""
        return float(np.einsum("phh,ph->", self.gram, self.weight, dtype=np.float64))

    def errors(self, groups: NDArray[np.integer]) -> FloatArray:
        """Return the error of sharing one head, for groups (G, m) of one size."""
        if groups.shape[1] == 1:
            return np.zeros(len(groups))
        return np.array([self._error(group) for group in groups])

    def spectrum(self) -> FloatArray:
        """Return the eigenvalues of each plane, increasing, shape (planes, H).

        Signs are no better than real factors, so what those would lose is lost.
        """
        root = np.sqrt(self.weight)
        weighted = root[:, :, None] * self.gram * root[:, None]
        return np.asarray(np.linalg.eigvalsh(weighted))

    def parts(self, group: NDArray[np.integer]) -> tuple[FloatArray, FloatArray, FloatArray, float]:
        """Return signs and shares (planes, m) of a group, |mean|^2 (planes,) and its factor."""
        gram = self.gram[:, group[:, None], group].astype(np.float64)
        weight = self.weight[:, group].astype(np.float64)
        total = weight.sum(axis=1, keepdims=True)
        share = np.where(total > 0, weight / np.where(total > 0, total, 1.0), 1 / len(group))
        signs = np.ones_like(share)
        if self.has_signs:
            root = np.sqrt(share)
            leading = np.linalg.eigh(root[:, :, None] * gram * root[:, None])[1][:, :, -1]
            signs = np.where(leading < 0, -1.0, 1.0)
        taken = signs * share
        square = np.einsum("pi,pij,pj->p", taken, gram, taken).clip(min=0)
        factor = 1.0
        if self.has_norm and square.sum() > 0:
            factor = float(np.sqrt(np.einsum("pii->", gram) / len(group) / square.sum()))
        return signs, share, square, factor

    def _error(self, group: NDArray[np.integer]) -> float:
        *_, square, factor = self.parts(group)
        weight = self.weight[:, group].astype(np.float64)
        total = np.einsum("pi,pi->", np.einsum("pii->pi", self.gram)[:, group], weight)
        return max(0.0, float(total - (2 * factor - factor**2) * (weight.sum(axis=1) @ square)))


def normed_heads(
    heads: FloatArray, moment: FloatArray | None, norm: KeyNorm
) -> tuple[FloatArray, FloatArray]:
    """Return heads (H, dh, e) behind a norm on average, and their divisors (H,)."""
    if norm.is_centred:
        heads = heads - heads.mean(axis=1, keepdims=True)
    seen = in_metric(heads, moment)
    squares = (seen * heads).sum(axis=(1, 2)) / heads.shape[1]
    if norm.is_over_all_heads:
        squares = np.full_like(squares, squares.mean())
    length = np.sqrt(np.where(squares > 0, squares, 1.0))
    return heads / length[:, None, None], length


def tied_grams(
    heads: FloatArray,
    rows: tuple[tuple[int, ...], ...],
    weights: FloatArray,
    moment: FloatArray | None,
    norm: KeyNorm | None,
) -> TiedGrams:
    """Return the Grams of heads.

    Parameters
    ----------
    heads : array, shape (H, dh, e)
        Behind the norm, if there is one.
    rows : tuple of tuple of int
        The one or two dimensions of each plane.
    weights : array, shape (H, planes)
        Of the error of each.
    moment : array, shape (e, e), optional
        Second moment of the inputs, by default the identity.
    norm : KeyNorm or None
        None for a clip, which is taken for the identity.
    """
    by_dimension = in_metric(heads, moment).transpose(1, 0, 2)  # (dh, H, e)
    products = by_dimension @ heads.transpose(1, 2, 0)  # (dh, H, H)
    gram = np.stack([products[list(dims)].sum(axis=0) for dims in rows])
    gram = (gram + gram.transpose(0, 2, 1)) / 2
    return TiedGrams(gram, weights.T, norm is not None, norm is None or norm.allows_signs)


def fit_tied(
    grams: TiedGrams, group: tuple[int, ...], rows: tuple[tuple[int, ...], ...], lengths: FloatArray
) -> Fit:
    """Return the shared head of a group, from its heads before the norm.

    Parameters
    ----------
    grams, rows
        As :func:`tied_grams` made and took them.
    group : tuple of int
        Heads.
    lengths : array, shape (H,)
        As :func:`normed_heads` returns them; ones without a norm.
    """
    signs, share, _, factor = grams.parts(np.array(group))
    member_lengths = lengths[list(group)]
    # A norm's epsilon sees the shared head as long as its members were.
    mixed = signs * share * factor * np.sqrt((member_lengths**2).mean()) / member_lengths
    size = sum(map(len, rows))
    mix, basis = np.zeros((2, len(group), size, size))
    for plane, dims in enumerate(rows):
        for dim in dims:
            mix[:, dim, dim], basis[:, dim, dim] = mixed[plane], signs[plane]
    return Fit(mix=mix, basis=basis)
