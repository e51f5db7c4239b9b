"""Blocks of neighbouring heads, alike in every layer and for keys and values: the baselines."""

from collections.abc import Sequence

import numpy as np

from qcqa.reduce.candidates import Slot
from qcqa.reduce.groups.search.candidates import GroupCandidates
from qcqa.search.front import Front
from qcqa.search.progress import OnSearchProgress, SearchProgress
from qcqa.search.strategy.config import CommonSettings
from qcqa.search.strategy.fronts import front_of
from qcqa.search.strategy.problem import Problem
from qcqa.search.strategy.rescoring import MEASURING, measured


def block_front(
    method: str,
    problem: Problem,
    settings: CommonSettings,
    group_counts: Sequence[int],
    on_progress: OnSearchProgress,
) -> Front:
    """Return the front of plans that cut every layer into as many blocks of neighbours.

    Parameters
    ----------
    method : str
        Name of the method.
    problem : Problem
        The model, and what sharing costs.
    settings : CommonSettings
        Say how the heads of a group are merged.
    group_counts : sequence of int
        Divisors of the number of heads, one plan each.
    on_progress : callable
        Called after each layer that was measured.
    """
    num_heads, num_layers = problem.spec.num_kv_heads, problem.spec.num_layers
    layers = []
    for layer in range(num_layers):
        blocks = GroupCandidates.blocks(Slot(layer), num_heads, group_counts)
        layers.append(_judged(problem, blocks).candidates(problem.spec))
        if problem.rescore is not None:
            done = len(layers)
            on_progress(SearchProgress(MEASURING, done, num_layers, done / num_layers, layer=layer))
    choices = np.repeat(np.arange(len(group_counts))[:, None], num_layers, axis=1)  # (C, L)
    return front_of(method, layers, choices, settings, num_heads)


def _judged(problem: Problem, blocks: GroupCandidates) -> GroupCandidates:
    if problem.rescore is not None:
        return measured(blocks, problem.rescore)
    return blocks.judged(problem.objective(blocks.slot))
