"""Stage 1 of every method: each slot searched by itself, in parallel processes, resumable."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from qcqa.options import Options
from qcqa.reduce.candidates import Slot
from qcqa.reduce.groups.objective import Objective
from qcqa.reduce.groups.search.candidates import GroupCandidates
from qcqa.reduce.groups.search.exact import EXACT_HEADS, TabulatedObjective
from qcqa.search.strategy.config import CommonSettings
from qcqa.search.strategy.finished import fingerprint, load_finished, save_finished
from qcqa.search.strategy.parallel import in_parallel
from qcqa.search.strategy.problem import Problem

#: What a strategy reads.
OptionsT = TypeVar("OptionsT", bound=Options)
#: Searches one slot: a pure function of its objective, the strategy's options, the slot and its
#: random generator, at the top level of a module so that another process can find it.
SlotSearch = Callable[[Objective, OptionsT, Slot, np.random.Generator], GroupCandidates]
OnSlot = Callable[[GroupCandidates, int], None]
#: Takes the tables that are made and the number of all.
OnTable = Callable[[int, int], None]

_STREAMS = {"shared": (), "key": (1,), "value": (2,)}


def slot_rng(seed: int, slot: Slot, stage: int = 1) -> np.random.Generator:
    """Return the random generator of one slot: the same whoever searches it, and when."""
    key = (stage, slot.layer, *_STREAMS[slot.kind])
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def search_slots(
    search: SlotSearch[OptionsT],
    problem: Problem,
    slots: Sequence[Slot],
    settings: CommonSettings,
    options: OptionsT,
    *,
    seconds_per_slot: float,
    on_slot: OnSlot,
    on_table: OnTable | None = None,
    scratch: Path | None = None,
) -> tuple[GroupCandidates, ...]:
    """Return every slot's candidates; the result does not depend on the number of processes.

    Parameters
    ----------
    search : callable
        What to do for one slot.
    problem : Problem
        Knows the slots' objectives.
    slots : sequence of Slot
        Those to search.
    settings : CommonSettings
        Seed and number of workers.
    options : Options
        What ``search`` reads.
    seconds_per_slot : float
        A guess, for whether other processes are worth their start.
    on_slot : callable
        Called with a slot's candidates, and how many slots are finished.
    on_table : callable, optional
        Called after each table that :func:`tabulate` makes first.
    scratch : Path, optional
        Folder in which finished slots are kept, and from which they are taken.
    """
    tabulate(problem, slots, settings, on_table=on_table)
    found: dict[Slot, GroupCandidates] = {}
    marks: dict[Slot, str] = {}

    def finish(candidates: GroupCandidates) -> None:
        found[candidates.slot] = candidates
        on_slot(candidates, len(found))

    def unfinished() -> Iterator[tuple[Slot, tuple[Any, ...]]]:
        for slot in slots:
            objective = problem.objective(slot)
            if scratch:
                marks[slot] = fingerprint(search, objective, options, slot, settings.seed)
                kept = load_finished(scratch, slot, marks[slot])
                if kept:
                    finish(kept)
                    continue
            yield slot, (objective, options, slot, slot_rng(settings.seed, slot))

    for slot, candidates in in_parallel(
        search,
        unfinished(),
        count=len(slots),
        seconds_each=seconds_per_slot,
        workers=settings.workers,
    ):
        if scratch:
            save_finished(scratch, candidates, marks[slot])
        finish(candidates)
    return tuple(found[slot] for slot in slots)


def tabulate(
    problem: Problem,
    slots: Sequence[Slot],
    settings: CommonSettings,
    *,
    on_table: OnTable | None = None,
) -> None:
    """Have the problem keep tables of its objectives where there are few heads.

    Then any population is judged by look-ups, and the best grouping is proven. WSE is as quick
    without.

    Parameters
    ----------
    problem : Problem
        Knows the slots' objectives, and keeps the tables.
    slots : sequence of Slot
        Those to tabulate; what is kept already is not made again.
    settings : CommonSettings
        The number of workers counts.
    on_table : callable, optional
        Called after each table.
    """
    if problem.spec.num_kv_heads > EXACT_HEADS:
        return
    missing = [slot for slot in slots if slot not in problem.kept]

    def keep(slot: Slot, table: TabulatedObjective) -> None:
        problem.kept[slot] = table
        if on_table:
            on_table(sum(slot in problem.kept for slot in missing), len(missing))

    def calls() -> Iterator[tuple[Slot, tuple[Objective]]]:
        for slot in missing:
            yield slot, (problem.objective(slot),)

    remaining = calls()
    for slot, (objective,) in remaining:
        if objective.guided_exactly:
            return
        started = time.monotonic()
        table = TabulatedObjective.of(objective)
        seconds = time.monotonic() - started
        keep(slot, table)
        # The first tells whether the others are worth processes of their own.
        for other, other_table in in_parallel(
            TabulatedObjective.of,
            remaining,
            count=len(missing) - 1,
            seconds_each=seconds,
            workers=settings.workers,
        ):
            keep(other, other_table)
