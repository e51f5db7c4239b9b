"""What each strategy over groups of heads may be told."""

from pydantic import Field

from qcqa.options import Options

#: A whole generation lies in memory: a larger one is a slip of the keyboard, or meant to fill it.
_MOST_CANDIDATES = 10**6
#: Years of work.
_MOST_ROUNDS = 10**7


class TwoStageOptions(Options):
    """Of NSGA-II within layers, stage 1, and over them, stage 2 (arXiv 2406.10247, section 3).

    Parameters
    ----------
    population_size : int
        Candidates per generation, stage 1.
    generations : int
        Generations, stage 1.
    stage2_population_size : int
        Candidates per generation, stage 2.
    stage2_generations : int
        Generations, stage 2.
    crossover_probability : float
        Probability that two parents are crossed.
    mutation_probability : float or None
        Probability that a head, or a layer, changes; one in each child if unset.
    """

    population_size: int = Field(default=100, ge=4, le=_MOST_CANDIDATES)
    generations: int = Field(default=100, ge=1, le=_MOST_ROUNDS)
    # Cheap generations, and long fronts.
    stage2_population_size: int = Field(default=200, ge=4, le=_MOST_CANDIDATES)
    stage2_generations: int = Field(default=500, ge=1, le=_MOST_ROUNDS)
    crossover_probability: float = Field(default=0.9, ge=0, le=1)
    mutation_probability: float | None = Field(default=None, ge=0, le=1)


class ExactOptions(Options):
    """Of the best grouping known for every group count.

    Parameters
    ----------
    restarts : int
        Restarts of the local search, per layer.
    """

    restarts: int = Field(default=12, ge=0, le=_MOST_ROUNDS)
