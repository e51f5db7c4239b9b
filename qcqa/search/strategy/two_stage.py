"""The paper's search (arXiv 2406.10247, section 3): NSGA-II per layer, then NSGA-II over layers."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qcqa.progress import within
from qcqa.reduce.candidates import Candidates, Slot
from qcqa.reduce.groups.objective import Objective
from qcqa.reduce.groups.search.candidates import GroupCandidates
from qcqa.reduce.groups.search.exact import guide_of
from qcqa.reduce.groups.search.genes import BlockGenes, LabelGenes, candidates_of, divisors
from qcqa.search.front import Front
from qcqa.search.progress import OnSearchProgress, SearchProgress
from qcqa.search.strategy.candidates import find_candidates
from qcqa.search.strategy.config import CommonSettings
from qcqa.search.strategy.cost import arbitrary_seconds, choice_seconds, equal_seconds
from qcqa.search.strategy.encodings import ChoiceGenes
from qcqa.search.strategy.fronts import front_of
from qcqa.search.strategy.nsga2 import Archive, nsga2
from qcqa.search.strategy.options import TwoStageOptions
from qcqa.search.strategy.pareto import hypervolume, nondominated
from qcqa.search.strategy.problem import Problem
from qcqa.search.strategy.stage_one import SlotSearch, slot_rng

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Generations between two reports of stage 2.
_REPORT_EVERY = 10


def arbitrary_cardinality(
    objective: Objective, options: TwoStageOptions, slot: Slot, rng: np.random.Generator
) -> GroupCandidates:
    """Return one slot's candidates for QCQA-AC; pure and picklable."""
    return _stage_one(LabelGenes(objective.num_heads), objective, options, slot, rng)


def equal_cardinality(
    objective: Objective, options: TwoStageOptions, slot: Slot, rng: np.random.Generator
) -> GroupCandidates:
    """Return one slot's candidates for QCQA-EC; pure and picklable."""
    return _stage_one(BlockGenes(objective.num_heads), objective, options, slot, rng)


def two_stage(
    method: str,
    search: SlotSearch[TwoStageOptions],
    problem: Problem,
    settings: CommonSettings,
    options: TwoStageOptions,
    *,
    on_progress: OnSearchProgress,
    scratch: Path | None,
) -> Front:
    """Return the front of the paper's search.

    Parameters
    ----------
    method : str
        Name of the method.
    search : callable
        Stage 1 of one slot: :func:`arbitrary_cardinality` or :func:`equal_cardinality`.
    problem : Problem
        A model of ``L`` layers, and what sharing costs.
    settings : CommonSettings
        Of the search.
    options : TwoStageOptions
        Of both stages.
    on_progress : callable
        Called after each slot of stage 1 and some generations of stage 2.
    scratch : Path or None
        Folder in which finished slots are kept.
    """
    num_slots = problem.spec.num_layers * (2 if settings.apart else 1)
    seconds = equal_seconds if search is equal_cardinality else arbitrary_seconds
    per_slot = seconds(problem.spec.num_kv_heads, options)
    share = per_slot * num_slots / (per_slot * num_slots + choice_seconds(options))
    slots = find_candidates(
        search,
        problem,
        settings,
        options,
        seconds_per_slot=per_slot,
        on_progress=within(on_progress, 0.0, share),
        scratch=scratch,
    )
    # Where the fitness has no total of its own, merging as much as possible stands for it.
    max_error = sum(float(slot.error.max()) if slot.total is None else slot.total for slot in slots)

    on_choosing = within(on_progress, share, 1.0)

    def on_generation(generation: int, archive: Archive) -> None:
        last = options.stage2_generations
        if generation % _REPORT_EVERY and generation != last:
            return
        volume = hypervolume(
            archive.cost,
            archive.error,
            max_cost=problem.spec.kv_bits,
            max_error=max_error,
        )
        on_choosing(
            SearchProgress("stage 2", generation, last, generation / last, hypervolume=volume)
        )

    candidates = [slot.candidates(problem.spec) for slot in slots]
    rng = slot_rng(settings.seed, Slot(0), stage=2)
    choices = over_slots(candidates, options, rng, on_generation=on_generation)
    return front_of(method, candidates, choices, settings, problem.spec.num_kv_heads)


def over_slots(
    slots: Sequence[Candidates],
    options: TwoStageOptions,
    rng: np.random.Generator,
    *,
    on_generation: Callable[[int, Archive], None] | None = None,
) -> IntArray:
    """Return stage 2's plans: a candidate of each slot, shape (N, S).

    Parameters
    ----------
    slots : sequence of S Candidates
        Sorted by cost, the source's own heads last.
    options : TwoStageOptions
        Those of stage 2 count.
    rng : Generator
        The only source of randomness.
    on_generation : callable, optional
        Called after each generation.
    """
    cost = _padded([slot.cost for slot in slots])  # (S, C)
    error = _padded([slot.error for slot in slots])  # (S, C)
    each = np.arange(len(slots))

    def evaluate(genes: IntArray) -> tuple[IntArray, FloatArray]:
        return cost[each, genes].sum(axis=1), error[each, genes].sum(axis=1)

    archive = nsga2(
        ChoiceGenes([slot.cost for slot in slots]),
        evaluate,
        max_cost=int(cost.max(axis=1).sum()),
        population_size=options.stage2_population_size,
        generations=options.stage2_generations,
        crossover_probability=options.crossover_probability,
        mutation_probability=options.mutation_probability,
        rng=rng,
        on_generation=on_generation,
    )
    return archive.genes


def _stage_one(
    encoding: LabelGenes | BlockGenes,
    objective: Objective,
    options: TwoStageOptions,
    slot: Slot,
    rng: np.random.Generator,
) -> GroupCandidates:
    """Return the non-dominated groupings that NSGA-II finds, cheapest first."""
    guide = guide_of(objective)

    def evaluate(genes: IntArray) -> tuple[IntArray, FloatArray]:
        found = candidates_of(genes, encoding, slot).judged(guide)
        return found.num_groups, found.error

    archive = nsga2(
        encoding,
        evaluate,
        max_cost=objective.num_heads,
        population_size=options.population_size,
        generations=options.generations,
        crossover_probability=options.crossover_probability,
        mutation_probability=options.mutation_probability,
        rng=rng,
    )
    found = candidates_of(archive.genes, encoding, slot)
    if guide is not objective:
        # GQA's groupings, which no search should lose to.
        num_heads = objective.num_heads
        found = found.joined(GroupCandidates.blocks(slot, num_heads, divisors(num_heads)))
    found = found.judged(objective)
    return found.pick(nondominated(found.num_groups, found.error))


def _padded(rows: Sequence[NDArray[np.number]]) -> NDArray[np.number]:
    """Return rows of different lengths as one array; what fills it is never read."""
    padded = np.zeros((len(rows), max(map(len, rows))), dtype=rows[0].dtype)
    for line, row in zip(padded, rows, strict=True):
        line[: len(row)] = row
    return padded
