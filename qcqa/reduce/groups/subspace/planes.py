"""Keys that a rotary embedding turns: only complex scalars commute with it, plane by plane.

Plane ``p`` of head ``i`` is one complex row ``k_ip = K_i[a] + j K_i[b]`` of its two dimensions,
weighted by ``w_ip``, half the mean squared length of the queries in that plane. (The half is the
mean of a squared cosine: the angle between a query and a key turns with their distance.) The least

    sum_i w_ip |k_ip - a_ip k_gp|^2      in the metric C

over a shared row and a complex scalar for each head is the sum of all eigenvalues but the largest
of the ``H x H`` Gram of the weighted rows.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qcqa.reduce.groups.subspace.fit import Fit
from qcqa.reduce.groups.subspace.gram import in_metric

FloatArray = NDArray[np.floating]
ComplexArray = NDArray[np.complexfloating]


@dataclass(frozen=True, slots=True, eq=False)
class PlaneGrams:
    """Inner products between heads in every rotary plane.

    Parameters
    ----------
    gram : complex array, shape (planes, H, H)
        Of the weighted rows, in the metric of the inputs.
    """

    gram: ComplexArray

    @property
    def num_heads(self) -> int:
        """Heads, ``H``."""
        return int(self.gram.shape[1])

    @property
    def total(self) -> float:
        """The error if all heads vanished."""
        return float(np.einsum("pii->", self.gram).real)

    def errors(self, groups: NDArray[np.integer]) -> FloatArray:
        """Return the least error of sharing one head, for groups (G, m) of one size."""
        if groups.shape[1] == 1:
            return np.zeros(len(groups))
        return np.array([self._error(group) for group in groups])

    def spectrum(self) -> FloatArray:
        """Return the eigenvalues of each plane, increasing, shape (planes, H)."""
        return np.asarray(np.linalg.eigvalsh(self.gram))

    def _error(self, group: NDArray[np.integer]) -> float:
        values = np.linalg.eigvalsh(self.gram[:, group[:, None], group])[:, :-1]
        return float(values.clip(min=0).sum(dtype=np.float64))


def plane_grams(
    heads: FloatArray, planes: NDArray[np.integer], weights: FloatArray, moment: FloatArray | None
) -> PlaneGrams:
    """Return the Grams of weighted heads, plane by plane.

    Parameters
    ----------
    heads : array, shape (H, dh, e)
        ``K_i``.
    planes : array, shape (planes, 2)
        The two dimensions of each plane.
    weights : array, shape (H, planes)
        ``w_ip``.
    moment : array, shape (e, e), optional
        ``C``, by default the identity.
    """
    seen = in_metric(heads, moment)  # while still real: half the work
    gram = _rows_of_planes(seen, planes) @ _rows_of_planes(heads, planes).conj().transpose(0, 2, 1)
    root = np.sqrt(weights.T)  # (planes, H)
    gram *= root[:, :, None] * root[:, None]
    return PlaneGrams((gram + gram.conj().transpose(0, 2, 1)) / 2)


def fit_planes(
    heads: FloatArray, planes: NDArray[np.integer], weights: FloatArray, moment: FloatArray | None
) -> Fit:
    """Return the shared head of least error of a group; parameters as :func:`plane_grams`.

    The fit covers all ``dh`` dimensions; those in no plane are zero in it.
    """
    gram = plane_grams(heads, planes, weights, moment).gram
    vectors = np.linalg.eigh(gram)[1][:, :, -1]  # (planes, m)
    root = np.sqrt(weights.T)  # (planes, m)
    # So scaled, the shared plane is about as long as its members'.
    scale = np.sqrt(weights.sum(axis=0))[:, None]
    mix = _divided(vectors.conj() * root, scale)
    basis = _divided(vectors * scale, root)
    size = heads.shape[1]
    return Fit(mix=as_matrices(mix, planes, size), basis=as_matrices(basis, planes, size))


def _rows_of_planes(heads: FloatArray, planes: NDArray[np.integer]) -> ComplexArray:
    """Return heads (H, dh, e) as one complex row for each plane, shape (planes, H, e)."""
    rows: ComplexArray = heads[:, planes[:, 0]] + 1j * heads[:, planes[:, 1]]
    return rows.transpose(1, 0, 2)


def as_matrices(scalars: ComplexArray, planes: NDArray[np.integer], size: int) -> FloatArray:
    """Return complex scalars (planes, m) as what they do to a head's dimensions, (m, dh, dh)."""
    first, second = planes.T
    matrices = np.zeros((scalars.shape[1], size, size))
    matrices[:, first, first] = matrices[:, second, second] = scalars.real.T
    matrices[:, second, first] = scalars.imag.T
    matrices[:, first, second] = -scalars.imag.T
    return matrices


def _divided(numerator: ComplexArray, denominator: FloatArray) -> ComplexArray:
    """Return a quotient that is zero where nothing is divided by: planes without weight."""
    denominator = np.broadcast_to(denominator, numerator.shape)
    # Lengths under this share of the longest are rounding.
    safe = denominator > 1e-9 * denominator.max(initial=0.0)
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=safe)
