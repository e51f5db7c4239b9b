"""Heads that may take any change of basis: values, and dimensions of keys that do not rotate.

Head ``i`` is ``V_i`` (n, e), its error is weighted by ``R_i' R_i``. The least

    sum_i tr(R_i (V_i - A_i V_g) C (V_i - A_i V_g)' R_i')

over a shared ``V_g`` (n, e) and a change of basis ``A_i`` (n, n) for each head is the sum of the
eigenvalues past ``n`` of the Gram of the stacked ``R_i V_i`` in the metric ``C``, and with its top
eigenvectors ``U``, ``V_g = sum_i U_i' R_i V_i`` and ``A_i = R_i^-1 U_i``. No root or inverse of
``C`` is needed, which may be singular.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qcqa.reduce.groups.subspace.fit import Fit
from qcqa.reduce.groups.subspace.gram import in_metric

FloatArray = NDArray[np.floating]

#: Share of a weight's largest eigenvalue below which a direction counts as weightless.
_WEIGHTLESS = 1e-12
#: Rows of a group's Gram up to which all its eigenvalues are computed, as quickly as some.
_ALL_EIGENVALUES = 1024
#: Blocks of a Krylov space that finds the largest eigenvalues of others. Three state the error of a
#: group to about a thousandth, at 16 heads of 128 dimensions in a quarter of the time of all.
_KRYLOV_BLOCKS = 3
#: Squared length of a direction of that space, one but for rounding, below which it is rounding.
_SPENT = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class FreeGram:
    """Inner products between the rows of heads that may take any change of basis.

    Parameters
    ----------
    gram : array, shape (H, n, H, n)
        Of the rows of ``R_i V_i``, in the metric of the inputs.
    """

    gram: FloatArray

    @property
    def num_heads(self) -> int:
        """Heads, ``H``."""
        return len(self.gram)

    @property
    def total(self) -> float:
        """The error if all heads vanished."""
        return float(np.einsum("iaia->", self.gram))

    def errors(self, groups: NDArray[np.integer]) -> FloatArray:
        """Return the least error of sharing one head.

        Parameters
        ----------
        groups : array, shape (G, m)
            Heads of each group, all of one size.

        Returns
        -------
        array, shape (G,)
            For large groups from a Krylov space: never less than the truth, but for rounding.
        """
        size = self.gram.shape[1]
        rows = groups.shape[1] * size
        if groups.shape[1] == 1:
            return np.zeros(len(groups))
        measure = _tail if rows <= _ALL_EIGENVALUES else _tail_in_krylov_space
        return np.array([measure(self._of_group(group), size) for group in groups])

    def spectrum(self) -> FloatArray:
        """Return the eigenvalues of all rows, increasing, shape (1, H n)."""
        num_heads, size = self.gram.shape[:2]
        return _eigenvalues(self.gram.reshape(num_heads * size, -1))[None]

    def _of_group(self, group: NDArray[np.integer]) -> FloatArray:
        rows = len(group) * self.gram.shape[1]
        return np.asarray(self.gram[group][:, :, group].reshape(rows, rows))


def free_gram(heads: FloatArray, roots: FloatArray, moment: FloatArray | None) -> FreeGram:
    """Return the Gram of weighted heads.

    Parameters
    ----------
    heads : array, shape (H, n, e)
        ``V_i``.
    roots : array, shape (H, n, n)
        ``R_i``.
    moment : array, shape (e, e), optional
        ``C``, by default the identity.
    """
    rows = (roots @ heads).reshape(-1, heads.shape[2])
    gram = rows @ in_metric(rows, moment).T
    return FreeGram(((gram + gram.T) / 2).reshape(*heads.shape[:2], *heads.shape[:2]))


def fit_free(heads: FloatArray, weights: FloatArray, moment: FloatArray | None) -> Fit:
    """Return the shared head of least error of a group.

    Parameters
    ----------
    heads : array, shape (m, n, e)
        The group's heads.
    weights : array, shape (m, n, n)
        ``R_i' R_i``.
    moment : array, shape (e, e), optional
        ``C``, by default the identity.
    """
    num_heads, size = heads.shape[:2]
    roots, inverses = roots_of(weights)
    gram = free_gram(heads, roots, moment).gram.reshape(num_heads * size, -1)
    vectors = np.linalg.eigh(gram)[1][:, ::-1][:, :size].reshape(num_heads, size, size)
    # One scale for all rows leaves the shared head about as large as its members.
    scale = np.sqrt(np.einsum("iaa->", weights) / size)
    if scale == 0:  # nothing depends on these heads
        scale = 1.0
    mix = vectors.transpose(0, 2, 1) @ roots / scale
    return Fit(mix=mix, basis=inverses @ vectors * scale)


def roots_of(weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the symmetric roots of positive semidefinite matrices (m, n, n), and their inverses.

    Directions without weight are zero in both.
    """
    values, vectors = np.linalg.eigh(weights)
    kept = values > _WEIGHTLESS * values[:, -1:]
    root = np.sqrt(np.where(kept, values, 0.0))
    inverse = np.divide(1.0, root, out=np.zeros_like(root), where=kept)
    turned = vectors.transpose(0, 2, 1)
    return vectors * root[:, None] @ turned, vectors * inverse[:, None] @ turned


def _eigenvalues(gram: FloatArray) -> NDArray[np.float64]:
    """Return the eigenvalues of a Gram, increasing.

    In double precision, which takes no longer: small ones are sought beside some that are a
    million times larger.
    """
    return np.linalg.eigvalsh(gram.astype(np.float64))


def _tail(gram: FloatArray, size: int) -> float:
    """Return the sum of the eigenvalues past the largest ``size``."""
    return float(_eigenvalues(gram)[:-size].clip(min=0).sum())


def _tail_in_krylov_space(gram: FloatArray, size: int) -> float:
    """Return the same from Ritz values, which are a little less than the largest eigenvalues.

    The space is that of a block Lanczos method, orthonormalised in full: products with the Gram
    are what takes time.
    """
    # Sums of the members' rows with unlike signs: a start that is the same at every call.
    start = np.random.default_rng(0).standard_normal((len(gram), size)).astype(gram.dtype)
    space: FloatArray = _orthonormal(gram @ start)
    images: FloatArray = gram @ space
    for _ in range(_KRYLOV_BLOCKS - 1):
        block = images[:, -size:]
        for _ in range(2):  # what is left after the first time may be rounding, made long
            block = _orthonormal(block - space @ (space.T @ block))
        space = np.concatenate([space, block], axis=1)
        images = np.concatenate([images, gram @ block], axis=1)
    # The space is orthonormal to single precision only, which would drown a small tail.
    wide = space.astype(np.float64)
    lengths, turn = np.linalg.eigh(wide.T @ wide)
    turn = (turn / np.sqrt(lengths.clip(min=_SPENT)))[:, lengths > _SPENT]
    ritz = turn.T @ (wide.T @ images.astype(np.float64)) @ turn
    kept = np.linalg.eigvalsh((ritz + ritz.T) / 2)[-size:].sum()
    return max(0.0, float(np.trace(gram, dtype=np.float64) - kept))


def _orthonormal(block: FloatArray) -> FloatArray:
    """Return the columns' span as orthonormal columns, but for rounding; quicker than by QR."""
    wide = block.astype(np.float64)
    lengths, turn = np.linalg.eigh(wide.T @ wide)
    shortest = np.finfo(np.float64).eps * lengths[-1] + np.finfo(np.float64).tiny
    return np.asarray((wide @ (turn / np.sqrt(lengths.clip(min=shortest)))).astype(block.dtype))
