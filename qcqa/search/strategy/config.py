"""Settings of a search: what holds for all of it, and the options of its strategies."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from qcqa.options import Options
from qcqa.reduce.bits.options import BitsOptions
from qcqa.reduce.terms import Fitness, MergeName
from qcqa.search.strategy.options import ExactOptions, TwoStageOptions

#: More than any machine has cores: each takes the memory of a whole interpreter.
_MOST_WORKERS = 4096


class CommonSettings(Options):
    """What every strategy may read.

    Parameters
    ----------
    seed : int
        Seed: the same seed gives the same result.
    workers : int or None
        Processes, which change no result; one per core if unset.
    fitness : Fitness
        What the search minimises.
    stage2_fitness : "loss" or None
        What QCQA's second stage, over layers, minimises, and by what the baselines are judged, if
        not ``fitness``. The paper's is the model's accuracy (arXiv 2406.10247, section 3).
    apart : bool
        Group keys and values apart.
    merge : MergeName
        How heads of a group become one.
    refit : bool
        Refit merged attention on the calibration text.
    """

    seed: int = Field(default=0, ge=0)
    workers: int | None = Field(default=None, ge=1, le=_MOST_WORKERS)
    fitness: Fitness = "wse"
    stage2_fitness: Literal["loss"] | None = None
    apart: bool = False
    merge: MergeName = "mean"
    refit: bool = False

    @property
    def judged_by(self) -> Fitness:
        """What the errors of the plans are."""
        return self.stage2_fitness or self.fitness


class SearchSettings(CommonSettings):
    """What a search may be told: what is for all, and beside it what only some methods read.

    Parameters
    ----------
    two_stage : TwoStageOptions
        Of QCQA.
    exact : ExactOptions
        Of ``optimal``, and wherever else heads are grouped by exact allocation.
    bits : BitsOptions
        Of whatever keeps keys and values in fewer bits.
    """

    two_stage: TwoStageOptions = TwoStageOptions()
    exact: ExactOptions = ExactOptions()
    bits: BitsOptions = BitsOptions()


def nested(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as files hold them today; those of earlier releases had all in one."""
    today = dict(content)
    for name, options in (("two_stage", TwoStageOptions), ("exact", ExactOptions)):
        flat = {field: today.pop(field) for field in options.model_fields if field in today}
        if flat:
            today[name] = flat
    return today
