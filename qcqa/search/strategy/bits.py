"""Numbers of bits: the same everywhere, spread exactly over sites, or with heads that share."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qcqa.reduce.bits.choice import WIDTHS, Bits, Rungs
from qcqa.reduce.choice import LayerChoice, SiteKind
from qcqa.reduce.stored import COST_CONTEXT
from qcqa.search.front import Front
from qcqa.search.progress import OnSearchProgress, SearchProgress
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.fronts import best_front, front_of
from qcqa.search.strategy.pareto import nondominated
from qcqa.search.strategy.problem import Problem
from qcqa.search.strategy.rescoring import MEASURING
from qcqa.search.strategy.slots import Candidates, Slot, slots_of

FloatArray = NDArray[np.float64]


def ladder_front(
    method: str,
    problem: Problem,
    settings: SearchSettings,
    rungs: Rungs,
    on_progress: OnSearchProgress,
) -> Front:
    """Return the one plan that keeps all keys and values alike.

    The rise of a staircase is taken to be that of its rungs, by the tokens that are on each.

    Parameters
    ----------
    method : str
        Name of the method.
    problem : Problem
        The model, and what its bits cost, measured.
    settings : SearchSettings
        Of the search.
    rungs : tuple of (int, int or None)
        See :class:`~qcqa.reduce.bits.choice.Bits`.
    on_progress : callable
        Called after each layer.
    """
    slots, shares = slots_of(problem.spec.num_layers, apart=True), _shares(rungs)
    found = []
    for slot in slots:
        choice = _choice(slot, Bits.staircase(rungs, _site(slot), problem.spec))
        rises = _measured(problem, slot, list(shares))
        error = sum(share * rise for share, rise in zip(shares.values(), rises, strict=True))
        cost = choice.bits_per_token(problem.spec) - _rest(problem)
        found.append(Candidates(slot, (choice,), np.array([cost]), np.array([error])))
        _tell(on_progress, slot, len(found), len(slots))
    plan = np.zeros((1, len(slots)), dtype=np.int64)
    return front_of(method, found, plan, settings, problem.spec.num_kv_heads)


def bits_front(
    method: str,
    problem: Problem,
    settings: SearchSettings,
    on_progress: OnSearchProgress,
    groups: Sequence[Candidates] = (),
) -> Front:
    """Return the front of bits for the keys and for the values of every layer, spread exactly.

    Parameters
    ----------
    method : str
        Name of the method.
    problem : Problem
        The model, and what its bits cost, measured.
    settings : SearchSettings
        Of the search.
    on_progress : callable
        Called after each slot.
    groups : sequence of Candidates, optional
        Heads that share, for the same slots: every one of them is crossed with every number of
        bits. What both lose is taken to be what each loses, as it is over layers.
    """
    slots = slots_of(problem.spec.num_layers, apart=True)
    found = []
    for place, slot in enumerate(slots):
        bits = _bits(problem, slot)
        found.append(_crossed(problem, groups[place], bits) if groups else bits)
        _tell(on_progress, slot, len(found), len(slots))
    return best_front(method, found, settings, problem.spec.num_kv_heads)


def _bits(problem: Problem, slot: Slot) -> Candidates:
    """Return the source's precision and every number of bits that is worth a choice."""
    site, spec = _site(slot), problem.spec
    choices = [LayerChoice()]
    choices += [_choice(slot, Bits.uniform(width, site, spec)) for width in WIDTHS]
    error = np.array([0.0, *_measured(problem, slot, WIDTHS)])
    cost = np.array([one.bits_per_token(spec) for one in choices]) - _rest(problem)
    return _worth_a_choice(Candidates(slot, tuple(choices), cost, error))


def _crossed(problem: Problem, groups: Candidates, bits: Candidates) -> Candidates:
    pairs = [(group, bit) for group in range(len(groups.error)) for bit in range(len(bits.error))]
    choices = tuple(
        LayerChoice(
            key=groups.choices[group].key + bits.choices[bit].key,
            value=groups.choices[group].value + bits.choices[bit].value,
        )
        for group, bit in pairs
    )
    error = np.array([groups.error[group] + bits.error[bit] for group, bit in pairs])
    cost = np.array([one.bits_per_token(problem.spec) for one in choices]) - _rest(problem)
    return _worth_a_choice(Candidates(groups.slot, choices, cost, error))


def _worth_a_choice(candidates: Candidates) -> Candidates:
    return candidates.pick(nondominated(candidates.cost, candidates.error))


def _measured(problem: Problem, slot: Slot, widths: Sequence[int]) -> FloatArray:
    """Return the rise of so many bits at one slot alone, nats per token."""
    if problem.rescore is None:
        raise AssertionError("bits are measured: the weights alone say nothing of them")
    site, spec = _site(slot), problem.spec
    choices = [_choice(slot, Bits.uniform(width, site, spec)) for width in widths]
    return problem.rescore(slot.layer, choices)


def _shares(rungs: Rungs) -> dict[int, float]:
    """Return the share of a long context's blocks at every width; the window is not counted."""
    bits = Bits(rungs)
    num_blocks = remaining = (COST_CONTEXT - bits.window) // bits.block
    shares = {}
    for width, most in rungs:
        here = remaining if most is None else min(remaining, most)
        shares[width] = here / num_blocks
        remaining -= here
    return shares


def _site(slot: Slot) -> SiteKind:
    if slot.kind == "shared":
        raise AssertionError("keys and values have bits of their own")
    return slot.kind


def _choice(slot: Slot, bits: Bits) -> LayerChoice:
    return LayerChoice(key=(bits,)) if slot.kind == "key" else LayerChoice(value=(bits,))


def _rest(problem: Problem) -> int:
    """Return the bits of the site of a layer that a slot leaves as it is."""
    return LayerChoice().stored(problem.spec)[0].bits_per_token


def _tell(on_progress: OnSearchProgress, slot: Slot, done: int, total: int) -> None:
    on_progress(SearchProgress(MEASURING, done, total, done / total, layer=slot.layer))
