"""From candidates of the slots to the front over layers."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from qcqa.search.front import Front
from qcqa.search.strategy.allocation import allocate
from qcqa.search.strategy.config import CommonSettings
from qcqa.search.strategy.pareto import nondominated
from qcqa.search.strategy.slots import Candidates, combined


def front_of(
    method: str,
    slots: Sequence[Candidates],
    choices: NDArray[np.integer],
    settings: CommonSettings,
    num_heads: int,
) -> Front:
    """Return the front among some plans: sorted by cost, none dominated.

    Parameters
    ----------
    method : str
        Name of the method.
    slots : sequence of S Candidates
        What the plans choose from.
    choices : array, shape (N, S)
        The candidate that each plan takes in each slot.
    settings : CommonSettings
        Say what the errors are, and how the heads of a group are merged.
    num_heads : int
        KV heads of the source.
    """
    layers, choice_of_layer = combined(slots, choices.astype(np.int64), num_heads)
    totals = [candidates.total for candidates in slots if candidates.total is not None]
    plans = Front(
        method=method,
        layers=layers,
        choices=choice_of_layer,
        fitness=settings.judged_by,
        total=sum(totals) if len(totals) == len(slots) else None,
        merge=settings.merge,
        refit=settings.refit,
        apart=settings.apart,
    )
    return replace(plans, choices=plans.choices[nondominated(plans.cost, plans.error)])


def best_front(
    method: str, slots: Sequence[Candidates], settings: CommonSettings, num_heads: int
) -> Front:
    """Return the front that no choice of one candidate per slot can beat."""
    _, _, choices = allocate([slot.cost for slot in slots], [slot.error for slot in slots])
    return front_of(method, slots, choices, settings, num_heads)
