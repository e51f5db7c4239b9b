"""What the second stage chooses from: every slot's groupings, found and, where asked, measured."""

from pathlib import Path

from qcqa.progress import within
from qcqa.reduce.candidates import slots_of
from qcqa.reduce.groups.search.candidates import GroupCandidates
from qcqa.search.progress import OnSearchProgress, SearchProgress
from qcqa.search.strategy.config import CommonSettings
from qcqa.search.strategy.pareto import hypervolume
from qcqa.search.strategy.problem import Problem
from qcqa.search.strategy.rescoring import MEASURING, measured_choice
from qcqa.search.strategy.stage_one import OptionsT, SlotSearch, search_slots

#: A guess: of the time until the candidates are there, where their loss is measured.
_MEASURING_SHARE = 0.8
#: A guess: of the search within layers, where errors are tabulated first.
_TABLES_SHARE = 0.8


def find_candidates(
    search: SlotSearch[OptionsT],
    problem: Problem,
    settings: CommonSettings,
    options: OptionsT,
    *,
    seconds_per_slot: float,
    on_progress: OnSearchProgress,
    scratch: Path | None,
) -> tuple[GroupCandidates, ...]:
    """Return every slot's candidates, in the order of their slots.

    Parameters
    ----------
    search : callable
        Stage 1 of one slot.
    problem : Problem
        The model, and what sharing costs.
    settings : CommonSettings
        Whether keys and values are apart, seed and number of workers.
    options : Options
        What ``search`` reads.
    seconds_per_slot : float
        A guess at what ``search`` takes.
    on_progress : callable
        Called after each table and each slot.
    scratch : Path or None
        Folder in which finished slots are kept.
    """
    slots = slots_of(problem.spec.num_layers, apart=settings.apart)
    share = 1 - _MEASURING_SHARE if problem.rescore else 1.0
    on_search, on_measuring = within(on_progress, 0.0, share), within(on_progress, share, 1.0)
    tables_done = 0.0

    def on_table(finished: int, total: int) -> None:
        nonlocal tables_done
        tables_done = _TABLES_SHARE * finished / total
        on_search(SearchProgress("tables for stage 1", finished, total, tables_done))

    def on_slot(candidates: GroupCandidates, finished: int) -> None:
        volume = hypervolume(
            candidates.num_stored_heads,
            candidates.error,
            max_cost=candidates.slot.num_sites * candidates.num_heads,
            max_error=candidates.total or 0.0,
        )
        on_search(
            SearchProgress(
                stage="stage 1",
                step=finished,
                total=len(slots),
                fraction=tables_done + (1 - tables_done) * finished / len(slots),
                layer=candidates.slot.layer,
                hypervolume=volume,
            )
        )

    found = search_slots(
        search,
        problem,
        slots,
        settings,
        options,
        seconds_per_slot=seconds_per_slot,
        on_slot=on_slot,
        on_table=on_table,
        scratch=scratch,
    )
    if problem.rescore is None:
        return found

    def on_measured(finished: int) -> None:
        layer = slots[finished - 1].layer
        on_measuring(
            SearchProgress(MEASURING, finished, len(slots), finished / len(slots), layer=layer)
        )

    return measured_choice(found, problem.rescore, on_measured)
