"""Gram matrices of a whole checkpoint, in one pass over its K and V weights."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

from qcqa.errors import CheckpointError
from qcqa.model.checkpoint import Checkpoint
from qcqa.model.fingerprint import Fingerprint
from qcqa.model.heads import LayerHeads
from qcqa.progress import OnLayer
from qcqa.reduce.groups.gram import HeadGram, ModelGrams, gram_of_heads

#: One layer is read while another is multiplied; more would only take more memory.
_LAYERS_AT_ONCE = 2


def read_grams(checkpoint: Checkpoint, *, on_layer: OnLayer | None = None) -> ModelGrams:
    """Read a checkpoint once, layer by layer, and keep the inner products between its heads.

    Parameters
    ----------
    checkpoint : Checkpoint
        What :func:`~qcqa.model.open_checkpoint` gave.
    on_layer : callable, optional
        Called after each layer with the number of layers done and of all.

    Raises
    ------
    CheckpointError
        If a file is damaged or a weight is no finite number.
    """
    num_layers = checkpoint.spec.num_layers
    sample = Fingerprint()
    layers = []
    buffers: SimpleQueue[NDArray[np.float32]] = SimpleQueue()
    for _ in range(_LAYERS_AT_ONCE):
        buffers.put(checkpoint.new_buffer())
    pool = ThreadPoolExecutor(max_workers=_LAYERS_AT_ONCE)
    try:
        for gram, first_rows in pool.map(
            partial(_read_layer, checkpoint, buffers), range(num_layers)
        ):
            sample.add(first_rows.key, first_rows.value)
            layers.append(gram)
            if on_layer is not None:
                on_layer(len(layers), num_layers)
    finally:
        # What is not begun when a layer is refused, or on_layer raises, is not begun any more.
        pool.shutdown(cancel_futures=True)
    return ModelGrams(spec=checkpoint.spec, fingerprint=sample.hexdigest(), layers=tuple(layers))


def _read_layer(
    checkpoint: Checkpoint, buffers: SimpleQueue[NDArray[np.float32]], layer: int
) -> tuple[HeadGram, LayerHeads]:
    """Return a layer's Grams, and the first row of its heads, which the fingerprint is of."""
    buffer = buffers.get()
    try:
        heads = checkpoint.read_layer(layer, out=buffer)
        # Weights that are no numbers are refused by name right after, not warned about here.
        with np.errstate(invalid="ignore", over="ignore"):
            gram = HeadGram(key=gram_of_heads(heads.key), value=gram_of_heads(heads.value))
        _refuse_not_finite(checkpoint, layer, heads, gram)
        return gram, LayerHeads(key=heads.key[:, :1].copy(), value=heads.value[:, :1].copy())
    finally:
        buffers.put(buffer)


def _refuse_not_finite(
    checkpoint: Checkpoint, layer: int, heads: LayerHeads, gram: HeadGram
) -> None:
    """Refuse NaN and infinity, which any one weight carries into the diagonal of the Gram."""
    names = checkpoint.tensor_names(layer)
    for role, weights, matrix in (
        ("key", heads.key, gram.key),
        ("value", heads.value, gram.value),
    ):
        bad = np.flatnonzero(~np.isfinite(np.diagonal(matrix)))
        if bad.size:
            count = int(np.count_nonzero(~np.isfinite(weights)))
            what = f"{count} weights that are NaN or infinite" if count else "weights too large"
            raise CheckpointError(
                f"{role} head {bad[0]} of layer {layer} of {checkpoint.spec.source} has {what} "
                f"({', '.join(names)})",
                expected="finite weights",
                remedy="download the model again, or use another checkpoint of it",
            )
