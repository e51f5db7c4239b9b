"""Settings of a search: typed, checked, and the same after a round trip through JSON."""

from collections.abc import Callable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from qcqa.errors import SettingsError
from qcqa.reduce.terms import Fitness, MergeName


class SearchSettings(BaseModel):
    """What a search may be told; the same settings and seed always give the same result.

    Parameters
    ----------
    population_size, generations : int
        Of NSGA-II in stage 1, per layer.
    stage2_population_size, stage2_generations : int
        Of NSGA-II in stage 2, over layers; its generations are cheap and its fronts long.
    crossover_probability : float
        That two parents are mixed rather than copied.
    mutation_probability : float or None
        That a gene (a head in stage 1, a layer in stage 2) changes; by default one gene per child.
    restarts : int
        Rounds of perturbed restarts of the local search, per layer.
    seed : int
        Of every random number.
    workers : int or None
        Processes for stage 1, by default one per CPU; the result does not depend on it.
    fitness : Fitness
        What the search minimises.
    stage2_fitness : "loss" or None
        What QCQA's second stage, over layers, minimises, and by what the baselines are judged, if
        not ``fitness``. The paper's is the model's accuracy (arXiv 2406.10247, section 3).
    apart : bool
        Whether keys and values are grouped apart from each other.
    merge : MergeName
        How the shared head of a group is computed.
    refit : bool
        Whether a conversion refits the merged attention on calibration text.

    Raises
    ------
    SettingsError
        If a value is out of range or unknown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    population_size: int = Field(default=100, ge=4)
    generations: int = Field(default=100, ge=1)
    stage2_population_size: int = Field(default=200, ge=4)
    stage2_generations: int = Field(default=500, ge=1)
    crossover_probability: float = Field(default=0.9, ge=0, le=1)
    mutation_probability: float | None = Field(default=None, ge=0, le=1)
    restarts: int = Field(default=12, ge=0)
    seed: int = Field(default=0, ge=0)
    workers: int | None = Field(default=None, ge=1)
    fitness: Fitness = "wse"
    stage2_fitness: Literal["loss"] | None = None
    apart: bool = False
    merge: MergeName = "mean"
    refit: bool = False

    @property
    def judged_by(self) -> Fitness:
        """What the errors of the plans are."""
        return self.stage2_fitness or self.fitness

    @model_validator(mode="wrap")
    @classmethod
    def _refuse_in_one_line(cls, values: Any, handler: Callable[[Any], Any]) -> Any:
        """Raise the project's own error instead of pydantic's many lines."""
        try:
            return handler(values)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(map(str, first["loc"])) or "settings"
            raise SettingsError(f"{name} = {first['input']!r}: {first['msg']}") from error
