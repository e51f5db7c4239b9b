"""The spectra of a layer's keys or values, from the Grams of their weighted heads."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qcqa.reduce.groups.subspace.free import FreeGram
from qcqa.reduce.groups.subspace.gram import Gram
from qcqa.reduce.groups.subspace.planes import PlaneGrams
from qcqa.reduce.groups.subspace.tied import TiedGrams
from qcqa.reduce.spectra import SiteSpectra, Spectrum

FloatArray = NDArray[np.floating]


def spectra_of(grams: Sequence[Gram], eigenvalues: Sequence[FloatArray]) -> SiteSpectra | None:
    """Return the spectra that Grams have; None for heads that let no change of basis pass.

    Parameters
    ----------
    grams : sequence of Gram
        Of one layer's keys, or of its values.
    eigenvalues : sequence of array
        As :meth:`Gram.spectrum` returns them, of each.
    """
    num_heads = grams[0].num_heads
    planes, head_planes = np.zeros((2, 0, num_heads))
    free, head_free = np.zeros(0), np.zeros((num_heads, 0))
    for gram, values in zip(grams, eigenvalues, strict=True):
        if isinstance(gram, TiedGrams):
            return None
        falling = values[:, ::-1].clip(min=0).astype(np.float64)
        if isinstance(gram, PlaneGrams):
            planes, head_planes = falling, np.einsum("pii->pi", gram.gram).real.copy()
        elif isinstance(gram, FreeGram):
            own = np.linalg.eigvalsh(np.einsum("iaib->iab", gram.gram).astype(np.float64))
            free, head_free = falling[0], own[:, ::-1]
    by_head = Spectrum(head_planes.clip(min=0), head_free.clip(min=0))
    return SiteSpectra(Spectrum(planes, free), by_head)
