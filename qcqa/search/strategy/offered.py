"""What reductions offer for every site: measured there alone, then spread exactly over sites.

Structures, which are heads that share, latents or smaller heads, stand in for each other at a site;
bits follow any of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from itertools import product
from math import nan

import numpy as np
from numpy.typing import NDArray

from qcqa.model.spec import ModelSpec
from qcqa.reduce.candidates import Candidates, Slot, slots_of
from qcqa.reduce.choice import Choice, LayerChoice, SiteKind, stored_at
from qcqa.reduce.facts import SiteFacts
from qcqa.reduce.registry import REDUCTIONS
from qcqa.reduce.spectra import SiteSpectra
from qcqa.search.front import Front
from qcqa.search.progress import OnSearchProgress, SearchProgress
from qcqa.search.strategy.config import CommonSettings, SearchSettings
from qcqa.search.strategy.fronts import best_front
from qcqa.search.strategy.pareto import nondominated
from qcqa.search.strategy.problem import Problem
from qcqa.search.strategy.rescoring import MEASURING

#: Rise, in nats per token, below which a float32 difference is noise. What loses something is never
#: thought free, so that the source alone is without error.
_LEAST_RISE = 1e-8

#: Relative difference of stated errors that is rounding.
_ALIKE = 1e-9

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
#: What a reduction offers for a site, its options settled.
Offered = Callable[[SiteFacts], Sequence[Choice]]


@dataclass(frozen=True, slots=True)
class Offers:
    """What some reductions offer.

    Parameters
    ----------
    structures : sequence of callable
        Of those that stand in for each other at a site.
    following : sequence of callable
        Of those that follow, in the order in which they take effect.
    value_step : callable
        From a model to the channels of values that have one scale where bits follow.
    """

    structures: Sequence[Offered]
    following: Sequence[Offered]
    value_step: Callable[[ModelSpec], int]

    def facts(
        self, kind: SiteKind, spec: ModelSpec, spectra: SiteSpectra | None = None
    ) -> SiteFacts:
        """Return what is told of a site."""
        return SiteFacts(kind, spec, self.value_step(spec), spectra)

    def structures_at(self, facts: SiteFacts) -> list[Choice]:
        """Return the structures at a site that are worth measuring.

        Of several maps none that another of no more elements is stated to beat: after a refit of
        both, that has the better start.
        """
        choices = [choice for offer in self.structures for choice in offer(facts)]
        stated = [_stated(choice, facts) for choice in choices]
        return [
            choice
            for choice, (elements, error) in zip(choices, stated, strict=True)
            if not any(
                less <= elements and better < (1 - _ALIKE) * error for less, better in stated
            )
        ]

    def all_at(self, facts: SiteFacts) -> tuple[Choice, ...]:
        """Return all choices at a site that are measured, each by itself."""
        following = (choice for offer in self.following for choice in offer(facts))
        return (*self.structures_at(facts), *following)


def _stated(choice: Choice, facts: SiteFacts) -> tuple[int, float]:
    """Return the cached elements of a choice, and what it is stated to lose: nan if not known."""
    state = REDUCTIONS[choice.kind].error
    error = state(facts.spectra, choice) if state and facts.spectra else nan
    return stored_at((choice,), facts.spec).elements, error


def is_offered(reductions: Sequence[str]) -> bool:
    """Return whether any of some reductions offers choices."""
    return any(REDUCTIONS[name].offer is not None for name in reductions)


def offers_of(reductions: Sequence[str], settings: SearchSettings) -> Offers:
    """Return what some reductions offer for a site."""
    structures, following = (
        [
            partial(row.offer, getattr(settings, name, None))
            for name, row in REDUCTIONS.items()
            if name in reductions and row.offer is not None and row.follows is follows
        ]
        for follows in (False, True)
    )
    return Offers(structures, following, partial(settings.bits.group_at, "value"))


def offered_front(
    method: str,
    problem: Problem,
    settings: CommonSettings,
    offers: Offers,
    on_progress: OnSearchProgress,
    groups: Sequence[Candidates] = (),
) -> Front:
    """Return the front of what is offered for the keys and for the values of every layer.

    Parameters
    ----------
    method : str
        Name of the method.
    problem : Problem
        The model, and what choices cost, measured.
    settings : CommonSettings
        Of the search.
    offers : Offers
        Of reductions. Structures are one choice, with which all that follows is crossed.
    on_progress : callable
        Called after each slot.
    groups : sequence of Candidates, optional
        Heads that share, for the same slots: structures too. What several choices lose at a site is
        taken to be what each loses, as it is over layers.
    """
    slots = slots_of(problem.spec.num_layers, apart=True)
    found: list[Candidates] = []
    for place, slot in enumerate(slots):
        facts = offers.facts(site_kind(slot), problem.spec, problem.spectra(slot))
        structures = _offered(problem, slot, offers.structures_at(facts))
        following = (_offered(problem, slot, offer(facts)) for offer in offers.following)
        first = _united([*groups[place : place + 1], structures])
        found.append(reduce(partial(_crossed, problem), following, first))
        tell(on_progress, slot, len(found), len(slots))
    return best_front(method, found, settings, problem.spec.num_kv_heads)


def _offered(problem: Problem, slot: Slot, offered: Sequence[Choice]) -> Candidates:
    """Return the source's own site and all that is offered and worth a choice."""
    choices = (LayerChoice(), *(slot.choice((choice,)) for choice in offered))
    error = np.array([0.0, *rises_at(problem, slot, offered)])
    candidates = Candidates(slot, choices, cost_at(problem, choices), error)
    return _worth_a_choice(candidates.pick(np.flatnonzero(np.isfinite(error))))


def _united(structures: Sequence[Candidates]) -> Candidates:
    """Return what is worth a choice of all structures of a slot."""
    choices = tuple(choice for candidates in structures for choice in candidates.choices)
    cost = np.concatenate([candidates.cost for candidates in structures])
    error = np.concatenate([candidates.error for candidates in structures])
    return _worth_a_choice(Candidates(structures[0].slot, choices, cost, error))


def _crossed(problem: Problem, first: Candidates, then: Candidates) -> Candidates:
    choices = tuple(
        LayerChoice(choice.key + other.key, choice.value + other.value)
        for choice, other in product(first.choices, then.choices)
    )
    error = np.add.outer(first.error, then.error).ravel()
    return _worth_a_choice(Candidates(first.slot, choices, cost_at(problem, choices), error))


def _worth_a_choice(candidates: Candidates) -> Candidates:
    return candidates.pick(nondominated(candidates.cost, candidates.error))


def rises_at(problem: Problem, slot: Slot, choices: Sequence[Choice]) -> FloatArray:
    """Return the measured rise of each choice at one slot alone, nats per token."""
    if problem.rescore is None:
        raise AssertionError("what is offered is measured: weights alone say nothing of it")
    rises = problem.rescore(slot.layer, [slot.choice((choice,)) for choice in choices])
    return np.maximum(rises, _LEAST_RISE)


def cost_at(problem: Problem, choices: Sequence[LayerChoice]) -> IntArray:
    """Return the bits per token of one site, whose choices leave the layer's other as it is."""
    rest = LayerChoice().stored(problem.spec)[0].bits_per_token
    return np.array([choice.bits_per_token(problem.spec) - rest for choice in choices])


def site_kind(slot: Slot) -> SiteKind:
    """Return whether a slot is a layer's keys or its values."""
    if slot.kind == "shared":
        raise AssertionError("keys and values have choices of their own")
    return slot.kind


def tell(on_progress: OnSearchProgress, slot: Slot, done: int, total: int) -> None:
    """Report that a slot was measured."""
    on_progress(SearchProgress(MEASURING, done, total, done / total, layer=slot.layer))
