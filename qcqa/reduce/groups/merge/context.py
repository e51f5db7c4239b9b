"""What a merge must know of a layer beside its weights."""

from dataclasses import dataclass

from torch import Tensor

from qcqa.model.key_norm import KeyNorm


@dataclass(frozen=True, slots=True, eq=False)
class LayerContext:
    """The inputs of a layer's attention, and what happens to its keys on their way.

    Parameters
    ----------
    moment : Tensor, shape (d, d) or (d + 1, d + 1), float64, optional
        Second moment ``E[x x']`` of the inputs on calibration text, with the constant 1 appended
        to them where projections have biases. None for the identity: from the weights alone.
    rotary_planes : tuple of (int, int)
        The pairs of a key head's dimensions that a rotary embedding turns together; dimensions
        in no pair do not rotate.
    key_norm : KeyNorm, optional
        What normalises the keys between their projection and the scores.
    is_clipped : bool
        Whether queries, keys and values are clipped.
    """

    moment: Tensor | None = None
    rotary_planes: tuple[tuple[int, int], ...] = ()
    key_norm: KeyNorm | None = None
    is_clipped: bool = False
