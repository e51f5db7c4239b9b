"""The optimal front: the best grouping known per slot and group count, then exact allocation."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qcqa.reduce.candidates import Candidates, Slot, slots_of
from qcqa.reduce.groups.objective import Objective
from qcqa.reduce.groups.search.candidates import GroupCandidates
from qcqa.reduce.groups.search.exact import slot_bound
from qcqa.reduce.groups.search.table import best_table
from qcqa.search.front import Front, LowerBound
from qcqa.search.progress import OnSearchProgress
from qcqa.search.strategy.allocation import allocate
from qcqa.search.strategy.candidates import find_candidates
from qcqa.search.strategy.config import CommonSettings
from qcqa.search.strategy.cost import optimal_seconds
from qcqa.search.strategy.fronts import best_front
from qcqa.search.strategy.options import ExactOptions
from qcqa.search.strategy.problem import Problem
from qcqa.search.strategy.stage_one import OnTable, tabulate

FloatArray = NDArray[np.float64]


def optimal_front(
    method: str,
    problem: Problem,
    settings: CommonSettings,
    options: ExactOptions,
    *,
    on_progress: OnSearchProgress,
    scratch: Path | None,
) -> Front:
    """Return the front of the best candidates, spread exactly over the slots.

    Proven optimal where every slot can be solved exactly and errors are not measured.
    """
    slots = optimal_slots(problem, settings, options, on_progress=on_progress, scratch=scratch)
    return best_front(method, slots, settings, problem.spec.num_kv_heads)


def optimal_slots(
    problem: Problem,
    settings: CommonSettings,
    options: ExactOptions,
    *,
    on_progress: OnSearchProgress,
    scratch: Path | None,
) -> tuple[Candidates, ...]:
    """Return the best candidates of every slot."""
    slots = find_candidates(
        optimal_candidates,
        problem,
        settings,
        options,
        seconds_per_slot=optimal_seconds(
            problem.spec.num_kv_heads, options, fitness=settings.fitness
        ),
        on_progress=on_progress,
        scratch=scratch,
    )
    return tuple(slot.candidates(problem.spec) for slot in slots)


def optimal_candidates(
    objective: Objective, options: ExactOptions, slot: Slot, rng: np.random.Generator
) -> GroupCandidates:
    """Return one slot's best groupings, a candidate for every group count; pure and picklable."""
    table = best_table(objective, restarts=options.restarts, rng=rng)
    return table.candidates(slot, objective.total)


def lower_bound(
    problem: Problem, settings: CommonSettings, *, on_table: OnTable | None = None
) -> LowerBound:
    """Return what no plan can beat; errors that are measured have no bound.

    The bounds of the slots, summed by the same allocation as the front. Where every slot was
    solved exactly, the optimal front lies on it: it is proven. Unless keys and values are apart in
    ``settings``, it holds for plans that group them alike. ``on_table`` is called after each table
    of errors that :func:`~qcqa.search.strategy.stage_one.tabulate` makes first.
    """
    slots = slots_of(problem.spec.num_layers, apart=settings.apart)
    tabulate(problem, slots, settings, on_table=on_table)
    bounds = [slot_bound(problem.objective(slot)) for slot in slots]
    costs = [
        slot.num_sites * problem.spec.head_bits * np.arange(1, len(bound) + 1)
        for slot, bound in zip(slots, bounds, strict=True)
    ]
    cost, error, _ = allocate(costs, bounds)
    return LowerBound(
        cost=cost,
        error=np.minimum.accumulate(error),
        fitness=problem.fitness,
        apart=settings.apart,
    )
