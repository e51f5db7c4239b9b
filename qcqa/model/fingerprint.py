"""A short hash by which a plan knows the model that it was made for."""

import hashlib
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from qcqa.model.heads import LayerHeads

_HEX_DIGITS = 32

_Rounding = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class Fingerprint:
    """Hash of a sample of the K and V weights, fed layer by layer.

    The sample is the first row of every head (with its bias, where there is one), keys before
    values, rounded to bfloat16: a model has one fingerprint whether it is loaded in the type in
    which it is stored, in float32 or in bfloat16.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, key: NDArray[np.float32], value: NDArray[np.float32]) -> None:
        """Add one layer's heads, each of shape (H, dh, d); rows past the first do not count."""
        for heads in (key, value):
            sample = heads[:, 0, :]  # (H, d)
            self._hash.update(repr(sample.shape).encode())
            self._hash.update(_bfloat16_bits(sample).tobytes())

    def hexdigest(self) -> str:
        """Return the fingerprint of the layers so far, 32 hexadecimal digits."""
        return self._hash.hexdigest()[:_HEX_DIGITS]


def fingerprint(layers: Iterable[LayerHeads]) -> str:
    """Return the fingerprint of a model from the heads of all its layers, in their order."""
    result = Fingerprint()
    for layer in layers:
        result.add(layer.key, layer.value)
    return result.hexdigest()


def equal_when_rounded(first: Iterable[LayerHeads], second: Iterable[LayerHeads]) -> bool:
    """Return whether two models' samples are copies of one, in whatever float types they are.

    They are if all numbers are the same once both are rounded to one of the types in which models
    are kept, or to one after the other.

    Parameters
    ----------
    first, second : iterable of LayerHeads
        The sample of each model, layer by layer.
    """
    roundings = list(_ROUNDINGS)
    for layer, other in zip(first, second, strict=True):
        pairs = ((layer.key[:, 0], other.key[:, 0]), (layer.value[:, 0], other.value[:, 0]))
        roundings = [
            way
            for way in roundings
            if all(np.array_equal(_rounded(a, way), _rounded(b, way)) for a, b in pairs)
        ]
    return bool(roundings)


def _bfloat16_bits(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Round to the nearest bfloat16, ties to even, and return its bits, little-endian."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    bits = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (bits >> np.uint32(16)).astype("<u2")


def _rounded(values: NDArray[np.float32], way: Iterable[_Rounding]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        for rounding in way:
            values = rounding(values)
    return values


def _bfloat16(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return (_bfloat16_bits(values).astype(np.uint32) << np.uint32(16)).view(np.float32)


def _float16(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return values.astype(np.float16).astype(np.float32)


#: The types through which a model may have come, in their order.
_ROUNDINGS: tuple[tuple[_Rounding, ...], ...] = (
    (_bfloat16,),
    (_float16,),
    (_float16, _bfloat16),
    (_bfloat16, _float16),
)
