"""The subspaces of a layer's keys or values that hold the most of their weights."""

import numpy as np
from numpy.typing import NDArray

from qcqa.reduce.choice import SiteKind
from qcqa.reduce.groups.subspace.layer import LayerSubspaces
from qcqa.reduce.latent.choice import Latent
from qcqa.reduce.linear_map import LinearMap

FloatArray = NDArray[np.floating]


def fit_latent(latent: Latent, heads: LayerSubspaces, kind: SiteKind) -> LinearMap:
    """Return the map of these ranks that keeps the most of a site's heads.

    Parameters
    ----------
    latent : Latent
        With a rank for each of the layer's rotary planes.
    heads : LayerSubspaces
        Of the layer.
    kind : SiteKind
        Its keys or its values.
    """
    rows = heads.value if kind == "value" else heads.key
    planes = heads.planes[: len(latent.planes)]
    free = np.setdiff1d(np.arange(rows.shape[1]), planes)
    turning = rows[:, planes[:, 0]] + 1j * rows[:, planes[:, 1]]  # (H, P, e)
    left = np.linalg.svd(turning.transpose(1, 0, 2), full_matrices=True)[0]  # (P, H, H)
    highest = max(latent.planes, default=0)
    is_kept = np.arange(highest) < np.array(latent.planes, dtype=np.int64)[:, None]  # (P, R)
    decode = left[:, :, :highest] * is_kept[:, None]
    others = np.linalg.svd(
        rows[:, free].reshape(len(rows) * len(free), -1 if len(free) else rows.shape[2])
    )[0][:, : latent.free]
    return LinearMap(decode.conj().transpose(0, 2, 1), decode, others.T, others)
