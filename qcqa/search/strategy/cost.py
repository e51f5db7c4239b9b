"""What the parts of a search cost, in seconds of one CPU core.

Fitted to timings of this code on one core of a 2020s server CPU, at 4 to 128 heads, 6 to 80 layers
and populations of 40 to 400: ``tests/benchmarks/search_estimate.py`` measures them again and prints
them beside these. All that takes more than a moment is right to about a third there, as long as
nothing else is at work.
"""

from math import factorial

from qcqa.reduce.groups.search.exact import EXACT_HEADS
from qcqa.reduce.groups.search.genes import divisors
from qcqa.reduce.terms import Fitness
from qcqa.search.strategy.options import ExactOptions, TwoStageOptions

#: A generation of NSGA-II costs so much whatever it holds: pymoo's own work.
_PER_GENERATION = 6e-4
#: A candidate of one generation: of few heads, and twice as much of this many heads.
_PER_ARBITRARY, _PER_EQUAL = 4.1e-5, 5.5e-5
_HEADS_OF_DOUBLE_COST = 120
_PER_CHOICE = 3.3e-5
#: Generations after which nothing new is found, where a population holds all groupings there are.
_GENERATIONS_OF_ALL = 4
#: A round of local search: of few heads, and what 32 heads add, as the cube of their number.
_PER_ROUND, _PER_ROUND_OF_32 = 0.0018, 0.0062
#: Telling the errors of what a Gram's WSE has guided to, by ``output-error``, of 32 heads.
_PER_JUDGEMENT_OF_32 = 1.0
#: A subset of a subset of few heads, all of which are tried.
_PER_SUBSET = 6e-8


def arbitrary_seconds(num_heads: int, options: TwoStageOptions) -> float:
    """Return what stage 1 of QCQA-AC costs for one slot of so many heads."""
    groupings = _bell(num_heads) if num_heads <= EXACT_HEADS else None
    return _stage_one(_PER_ARBITRARY, num_heads, groupings, options)


def equal_seconds(num_heads: int, options: TwoStageOptions) -> float:
    """Return what stage 1 of QCQA-EC costs for one slot of so many heads."""
    groupings = sum(
        factorial(num_heads) // (factorial(num_heads // count) ** count * factorial(count))
        for count in divisors(num_heads)
    )
    return _stage_one(_PER_EQUAL, num_heads, groupings, options)


def choice_seconds(options: TwoStageOptions) -> float:
    """Return what stage 2 costs; the number of layers hardly counts."""
    per_generation = _PER_GENERATION + _PER_CHOICE * options.stage2_population_size
    return options.stage2_generations * per_generation


def optimal_seconds(num_heads: int, options: ExactOptions, *, fitness: Fitness = "wse") -> float:
    """Return what the best groupings of every count cost for one slot."""
    if num_heads <= EXACT_HEADS:
        return exact_seconds(num_heads)
    growth = (num_heads / 32) ** 3
    per_round = _PER_ROUND + _PER_ROUND_OF_32 * growth
    judging = 0.0 if fitness == "wse" else _PER_JUDGEMENT_OF_32 * growth
    return per_round * (options.restarts + 1) + judging


def exact_seconds(num_heads: int) -> float:
    """Return what trying all splits of all subsets of a few heads costs, for one slot."""
    return 3.0**num_heads * _PER_SUBSET


def _stage_one(
    per_candidate: float, num_heads: int, groupings: int | None, options: TwoStageOptions
) -> float:
    size = options.population_size
    is_all = groupings is not None and groupings <= size
    generations = min(options.generations, _GENERATIONS_OF_ALL) if is_all else options.generations
    growth = 1 + (num_heads / _HEADS_OF_DOUBLE_COST) ** 2
    return generations * (_PER_GENERATION + per_candidate * size * growth)


def _bell(count: int) -> int:
    """Return the number of partitions of so many heads."""
    row = [1]
    for _ in range(count - 1):
        following = [row[-1]]
        for number in row:
            following.append(following[-1] + number)
        row = following
    return row[-1]
