"""What may be chosen, one by one: for a layer's heads, or for its keys and its values apart."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qcqa.reduce.choice import LayerChoice, Site
from qcqa.reduce.terms import Kind

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_KINDS: dict[bool, tuple[Kind, ...]] = {False: ("shared",), True: ("key", "value")}


@dataclass(frozen=True, slots=True)
class Slot:
    """What one decision is for.

    Parameters
    ----------
    layer : int
        Number of the layer.
    kind : Kind
        Its keys and values alike, its keys or its values.
    """

    layer: int
    kind: Kind = "shared"

    @property
    def num_sites(self) -> int:
        """Sites that are decided alike."""
        return 2 if self.kind == "shared" else 1

    def choice(self, site: Site) -> LayerChoice:
        """Return the choice of a layer in which this is chosen here, and nothing elsewhere."""
        return LayerChoice(
            key=() if self.kind == "value" else site, value=() if self.kind == "key" else site
        )


def slots_of(num_layers: int, *, apart: bool) -> tuple[Slot, ...]:
    """Return the slots of all layers, a layer's keys before its values where they are apart."""
    return tuple(Slot(layer, kind) for layer in range(num_layers) for kind in _KINDS[apart])


@dataclass(frozen=True, eq=False)
class Candidates:
    """What may be chosen at one slot: all that allocation and fronts see.

    Parameters
    ----------
    slot : Slot
        What is decided.
    choices : tuple of LayerChoice
        ``C`` of them; they leave the rest of the layer as it is.
    cost : array, shape (C,)
        Bits of the slot's cache per token.
    error : array, shape (C,)
        Fitness of each.
    total : float or None
        The error that a relative error of 1 stands for, where the fitness has one.
    """

    slot: Slot
    choices: tuple[LayerChoice, ...]
    cost: IntArray
    error: FloatArray
    total: float | None = None

    def pick(self, kept: IntArray) -> "Candidates":
        """Return some of the candidates."""
        choices = tuple(self.choices[place] for place in kept.tolist())
        return Candidates(self.slot, choices, self.cost[kept], self.error[kept], self.total)
