"""Ward's agglomeration of heads, from Gram matrices alone."""

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def ward_labels(gram: FloatArray) -> IntArray:
    """Return a grouping for every group count, each merging the cheapest pair of the one above.

    Merging groups a and b costs ``s_a/n_a + s_b/n_b - (s_a + s_b + 2 s_ab)/(n_a + n_b)`` of WSE,
    where ``s_ab`` sums the inner products between their heads. Costs ``O(H^3)``.

    Parameters
    ----------
    gram : array, shape (H, H)
        Inner products between the heads.

    Returns
    -------
    array, shape (H, H)
        Row ``k - 1`` has ``k`` groups with labels 0 to ``k - 1``.
    """
    num_heads = len(gram)
    labels = np.arange(num_heads)
    inner = gram.copy()  # (k, k): sums of inner products between groups
    sizes = np.ones(num_heads)
    table = np.empty((num_heads, num_heads), dtype=np.int64)
    table[num_heads - 1] = labels
    for num_groups in range(num_heads - 1, 0, -1):
        total = np.diag(inner)
        apart = total / sizes  # (k + 1,)
        merged = (total[:, None] + total + 2 * inner) / (sizes[:, None] + sizes)
        cost = apart[:, None] + apart - merged
        np.fill_diagonal(cost, np.inf)
        into, gone = sorted(divmod(int(cost.argmin()), num_groups + 1))
        inner[into] += inner[gone]
        inner[:, into] += inner[:, gone]
        inner = np.delete(np.delete(inner, gone, axis=0), gone, axis=1)
        sizes[into] += sizes[gone]
        sizes = np.delete(sizes, gone)
        labels = np.where(labels == gone, into, labels)
        labels = labels - (labels > gone)
        table[num_groups - 1] = labels
    return table
