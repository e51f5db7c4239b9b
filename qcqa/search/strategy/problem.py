"""What a method is asked: a model, and what it costs to let its heads share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from qcqa.model.spec import ModelSpec
from qcqa.progress import OnLayer
from qcqa.reduce.candidates import Slot
from qcqa.reduce.choice import LayerChoice, SiteKind
from qcqa.reduce.groups.gram import ModelGrams
from qcqa.reduce.groups.objective import Objective, WseObjective
from qcqa.reduce.spectra import SiteSpectra
from qcqa.reduce.terms import Fitness, Kind

#: Measured rise of the calibration loss when one layer alone is reduced like this: number of the
#: layer, some choices for it, and the rise for each, infinite where the layer cannot have it. Asked
#: again, it should know the answer.
Rescore = Callable[[int, Sequence[LayerChoice]], NDArray[np.float64]]
#: Measures what plans choose, each for every layer, where rises were foretold alone. Whether it had
#: to is returned.
Remeasure = Callable[[Sequence[Sequence[LayerChoice]], OnLayer], bool]
#: What the directions of one layer's keys, or values, hold; None where no linear map passes.
FindSpectra = Callable[[int, SiteKind], SiteSpectra | None]
#: The objective of one layer's keys and values alike, of its keys or of its values.
MakeObjective = Callable[[int, Kind], Objective]


@dataclass(frozen=True, eq=False)
class Problem:
    """A model and a fitness.

    Parameters
    ----------
    grams : ModelGrams
        Of the model.
    make_objective : callable
        What guides the search within layers. Called when a layer's turn comes, so that not all need
        to be in memory.
    fitness : Fitness
        What the errors of the fronts are.
    rescore : callable, optional
        Replaces the errors of each layer's candidates by measured ones, for the fitness ``loss``.
    remeasure : callable, optional
        Where ``rescore`` foretells rises: measures those that plans rest on.
    begin : callable, optional
        Called before each method, whose front is not to hang on what others had measured.
    find_spectra : callable, optional
        Without it nothing is offered that keeps some directions of a site.
    """

    grams: ModelGrams
    make_objective: MakeObjective
    fitness: Fitness = "wse"
    rescore: Rescore | None = None
    remeasure: Remeasure | None = None
    begin: Callable[[], None] | None = None
    find_spectra: FindSpectra | None = None
    #: Objectives that are small and worth keeping: those of few heads, tabulated.
    kept: dict[Slot, Objective] = field(default_factory=dict, repr=False)

    @property
    def spec(self) -> ModelSpec:
        """Geometry of the model."""
        return self.grams.spec

    def spectra(self, slot: Slot) -> SiteSpectra | None:
        """Return what the directions of keys or of values hold; None if that is not known."""
        if self.find_spectra is None or slot.kind == "shared":
            return None
        return self.find_spectra(slot.layer, slot.kind)

    def objective(self, slot: Slot) -> Objective:
        """Return what it costs to group the heads of one slot."""
        return self.kept.get(slot) or self.make_objective(slot.layer, slot.kind)


def wse_problem(grams: ModelGrams) -> Problem:
    """Return the paper's problem: the least weight-sharing error, from Grams alone."""

    def objective(layer: int, kind: Kind) -> WseObjective:
        return WseObjective(grams.layers[layer].of(kind))

    return Problem(grams=grams, make_objective=objective)
