"""Settings of a search: what holds for all of it, and the options of its strategies."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from qcqa.options import Options
from qcqa.reduce.bits.options import BitsOptions
from qcqa.reduce.terms import Fitness, MergeName
from qcqa.search.strategy.options import ExactOptions, TwoStageOptions


class CommonSettings(Options):
    """What every strategy may read; the same seed always gives the same result."""

    seed: int = Field(default=0, ge=0, description="Seed: the same seed gives the same result")
    workers: int | None = Field(
        default=None, ge=1, description="Processes, which change no result; one per core if unset"
    )
    fitness: Fitness = Field(default="wse", description="What the search minimises")
    # The paper's is the model's accuracy (arXiv 2406.10247, section 3); the baselines are judged
    # by it, too.
    stage2_fitness: Literal["loss"] | None = Field(
        default=None, description="What QCQA's second stage minimises, if not the fitness"
    )
    apart: bool = Field(default=False, description="Group keys and values apart")
    merge: MergeName = Field(default="mean", description="How heads of a group become one")
    refit: bool = Field(default=False, description="Refit merged attention on the calibration text")

    @property
    def judged_by(self) -> Fitness:
        """What the errors of the plans are."""
        return self.stage2_fitness or self.fitness


class SearchSettings(CommonSettings):
    """What a search may be told: what is for all, and beside it what only some methods read."""

    two_stage: TwoStageOptions = TwoStageOptions()
    exact: ExactOptions = ExactOptions()
    bits: BitsOptions = BitsOptions()


def nested(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as files hold them today; those of earlier releases had all in one."""
    today = dict(content)
    for name, options in (("two_stage", TwoStageOptions), ("exact", ExactOptions)):
        flat = {one: today.pop(one) for one in options.model_fields if one in today}
        if flat:
            today[name] = flat
    return today
