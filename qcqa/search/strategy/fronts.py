"""From candidates of the slots to the front over layers."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from qcqa.reduce.candidates import Candidates
from qcqa.reduce.choice import LayerChoice
from qcqa.search.front import Front, LayerCandidates
from qcqa.search.strategy.allocation import allocate
from qcqa.search.strategy.config import CommonSettings
from qcqa.search.strategy.pareto import nondominated

IntArray = NDArray[np.int64]


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
    layers, choice_of_layer = _combined(slots, choices.astype(np.int64), num_heads)
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


def _combined(
    slots: Sequence[Candidates], plans: IntArray, num_heads: int
) -> tuple[tuple[LayerCandidates, ...], IntArray]:
    """Return the candidates of whole layers, and each plan's choice among them.

    Where keys and values are apart, a layer's candidates are the pairs that the plans use: all
    pairs would be too many.

    Parameters
    ----------
    slots : sequence of S Candidates
        In the order of :func:`~qcqa.reduce.candidates.slots_of`.
    plans : array, shape (N, S)
        The candidate that each plan takes in each slot.
    num_heads : int
        KV heads of the source.
    """
    if all(candidates.slot.kind == "shared" for candidates in slots):
        whole = (LayerCandidates(num_heads, s.choices, s.cost, s.error) for s in slots)
        return tuple(whole), plans
    layers: list[LayerCandidates] = []
    columns = []
    for first in range(0, len(slots), 2):
        key, value = slots[first : first + 2]
        pairs, column = np.unique(plans[:, first : first + 2], axis=0, return_inverse=True)
        layers.append(
            LayerCandidates(
                num_heads,
                choices=tuple(
                    LayerChoice(key.choices[k].key, value.choices[v].value)
                    for k, v in pairs.tolist()
                ),
                cost=key.cost[pairs[:, 0]] + value.cost[pairs[:, 1]],
                error=key.error[pairs[:, 0]] + value.error[pairs[:, 1]],
            )
        )
        columns.append(column.reshape(-1))
    return tuple(layers), np.stack(columns, axis=1)
