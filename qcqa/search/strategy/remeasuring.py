"""A front of rises that were foretold: measured where its plans want to go, and found again."""

from collections.abc import Callable

import numpy as np

from qcqa.progress import within
from qcqa.search.front import Front
from qcqa.search.progress import OnSearchProgress, SearchProgress
from qcqa.search.strategy.problem import Problem
from qcqa.search.strategy.rescoring import MEASURING

#: A plan may go elsewhere once its rises are measured: so often is looked again.
_ROUNDS = 2
#: Plans of a front whose rises are measured, their sizes growing by a factor.
_PLANS = 6
#: Guesses: of a front's time, what finding it first takes, and of a round, what measuring does.
_FIRST_SHARE, _MEASURING_SHARE = 0.7, 0.9


def settled_front(
    problem: Problem, find: Callable[[OnSearchProgress], Front], on_progress: OnSearchProgress
) -> Front:
    """Return the front that is found when what its plans choose has been measured.

    Parameters
    ----------
    problem : Problem
        Says how rises are measured; where none are foretold, the front is found once.
    find : callable
        Finds the front by what is known; takes what its progress is told to.
    on_progress : callable
        Told of all of it.
    """
    if problem.begin:
        problem.begin()
    if problem.remeasure is None:
        return find(on_progress)
    front = find(within(on_progress, 0.0, _FIRST_SHARE))
    for number in range(_ROUNDS):
        begin, end = (
            _FIRST_SHARE + (1 - _FIRST_SHARE) * share / _ROUNDS for share in (number, number + 1)
        )
        of_round = within(on_progress, begin, end)
        measuring = within(of_round, 0.0, _MEASURING_SHARE)
        plans = [front.plan_layers(place) for place in _some(front)]

        def on_measured(done: int, total: int, tell: OnSearchProgress = measuring) -> None:
            tell(SearchProgress.of_stage(MEASURING, done, total))

        if not problem.remeasure(plans, on_measured):
            break
        front = find(within(of_round, _MEASURING_SHARE, 1.0))
    on_progress(SearchProgress(MEASURING, 1, 1, 1.0))
    return front


def _some(front: Front) -> list[int]:
    """Return places of plans whose sizes grow by a factor; the source, the last, is often not one.

    A front may have one plan alone.
    """
    sizes = np.geomspace(front.cost[0], front.cost[-1], _PLANS + 1)[:-1]
    places = np.searchsorted(front.cost, sizes).clip(max=len(front.cost) - 1)
    return sorted(set(places.tolist()))
