"""What each part of a search takes, by the geometry of a model and the settings.

By weights alone these are the timings of :mod:`qcqa.search.strategy.cost`, spread over the
processes. What the model itself is run for, to measure losses on a calibration text, is counted in
floating-point operations; there only the order of magnitude is known.
"""

import os
from collections.abc import Collection
from dataclasses import dataclass
from math import comb
from pathlib import Path
from typing import get_args

from qcqa.model.spec import ModelSpec
from qcqa.reduce.bits.choice import Bits
from qcqa.reduce.choice import Choice, SiteKind
from qcqa.reduce.groups.search.exact import EXACT_HEADS
from qcqa.reduce.registry import REDUCTIONS
from qcqa.reduce.spectra import SiteSpectra
from qcqa.search.methods import METHODS
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.cost import (
    arbitrary_seconds,
    choice_seconds,
    equal_seconds,
    exact_seconds,
    optimal_seconds,
)
from qcqa.search.strategy.offered import offers_of
from qcqa.search.strategy.parallel import WORTH_PROCESSES_SECONDS
from qcqa.search.strategy.rescoring import most_measured
from qcqa.text.amounts import (
    BATCH_TOKENS,
    DRAWS,
    MEASURED_EVERY,
    SEARCH_STEPS,
    exact_batches,
    plan_steps,
    ranked_batches,
    read_batches,
)

#: Processes are spawned, and import what stage 1 needs.
_SPAWN_SECONDS = 2.0
#: Of a model, on one core; more cores help less than they should.
_MODEL_OPERATIONS_PER_SECOND, _CORE_POWER = 4e10, 0.8
#: Of the eigenvalues of Grams of subspaces, for each cube of their size.
_EIGEN_OPERATIONS, _EIGEN_OPERATIONS_PER_SECOND = 10.0, 1e10
#: As :mod:`qcqa.text.calibration_windows` has it, which loads torch.
CALIBRATION_TOKENS = 32768
#: Guesses: of a slot's choices, beside one, so many that are foretold are measured; and as many of
#: one kind as are offered together.
_MEASURED_SHARE, _OFFERED_TOGETHER = 1 / 3, 4


#: Of a text, for each of its tokens, about.
_BYTES_PER_TOKEN = 4


def tokens_of(calibration: str | None) -> int:
    """Return how many tokens of a calibration text are read, about; it is not opened.

    Parameters
    ----------
    calibration : str or None
        A text file. Of all else it is not known, so that it counts as long enough.
    """
    if calibration is None or not (path := Path(calibration)).is_file():
        return CALIBRATION_TOKENS
    return max(1, min(CALIBRATION_TOKENS, path.stat().st_size // _BYTES_PER_TOKEN))


def calibration_seconds(
    spec: ModelSpec, num_weights: int, *, tokens: int = CALIBRATION_TOKENS
) -> float:
    """Return what reading the calibration text takes, with the moments of the layers' inputs."""
    moments = 2.0 * spec.num_layers * tokens * spec.hidden_size**2
    return (2 * num_weights * tokens + moments) / model_speed()


def method_seconds(
    name: str,
    spec: ModelSpec,
    settings: SearchSettings,
    *,
    layer_weights: int,
    other_weights: int,
    tokens: int = CALIBRATION_TOKENS,
    before: Collection[str] = (),
) -> float:
    """Return what a method takes, by whatever error it searches.

    Parameters
    ----------
    name : str
        Any method; those that need no search only take time where their plans are measured.
    spec : ModelSpec
        Geometry of the model.
    settings : SearchSettings
        As the method has them.
    layer_weights, other_weights : int
        Weights in the model's layers, and beside them.
    tokens : int
        Of the calibration text.
    before : collection of str
        Methods that the same search runs before: what they measure is known then.
    """
    method, measured = METHODS[name], 0.0
    if settings.judged_by == "loss":
        work = _RiseWork(spec, settings.apart, layer_weights, other_weights, tokens)
        if "groups" in method.reductions and not _measures_the_same(name, before):
            groupings = _measured_groupings(name, spec)
            operations = work.of_choices(groupings, with_refit=settings.refit)
            measured = _num_slots(spec, settings) * operations / model_speed()
        for choice in _newly_offered(name, spec, settings, before):
            is_refitted = settings.refit and not REDUCTIONS[choice.kind].follows
            together = work.of_choices(_OFFERED_TOGETHER, with_refit=is_refitted)
            operations = together / _OFFERED_TOGETHER
            measured += spec.num_layers * operations / model_speed()
    if not method.needs_search or "groups" not in method.reductions:
        return measured
    # What telling other errors takes is counted by itself.
    seconds = weights_seconds(name, spec, settings.model_copy(update={"fitness": "wse"}))
    if settings.fitness != "wse":
        seconds += objective_seconds(spec, settings)
    return seconds + measured


def _measures_the_same(name: str, before: Collection[str]) -> bool:
    """Return whether a method that was run before has measured the same groups of heads."""
    method = METHODS[name]
    return method.strategy == "exact" and any(
        METHODS[other].insists == method.insists
        for other in before
        if "groups" in METHODS[other].reductions
    )


def _newly_offered(
    name: str, spec: ModelSpec, settings: SearchSettings, before: Collection[str]
) -> list[Choice]:
    """Return what a method measures at the sites of a layer and no other has before."""
    known = {pair for earlier in before for pair in _offered(earlier, spec, settings)}
    return [choice for _, choice in _offered(name, spec, settings) - known]


def _offered(name: str, spec: ModelSpec, settings: SearchSettings) -> set[tuple[SiteKind, Choice]]:
    """Return what a method measures at a site, of any reduction but heads that share."""
    method, kinds = METHODS[name], get_args(SiteKind)
    if method.steps:
        return {
            (kind, Bits.uniform(width, settings.bits, kind, spec))
            for kind in kinds
            for width, _ in method.steps
        }
    offers = offers_of(method.reductions, settings)
    spectra = SiteSpectra.unknown(spec.num_kv_heads, spec.head_dim)
    return {
        (kind, choice)
        for kind in kinds
        for choice in offers.all_at(offers.facts(kind, spec, spectra))
    }


def _measured_groupings(name: str, spec: ModelSpec) -> int:
    """Return how many groupings of a slot a method measures at most."""
    heads, counts_of = spec.num_kv_heads, METHODS[name].group_counts
    most = most_measured(heads)
    if counts_of is None:
        return most
    # The source's own heads lose nothing, so that they are not measured; nor is one grouping
    # alone, which is the source's or among GQA's.
    return min(most, len(counts_of(heads)) - 1)


def weights_seconds(name: str, spec: ModelSpec, settings: SearchSettings) -> float:
    """Return what a searched method takes by the Grams of weights alone.

    Parameters
    ----------
    name : str
        A method that needs a search.
    spec : ModelSpec
        Geometry of the model.
    settings : SearchSettings
        As the method has them.
    """
    slots = _num_slots(spec, settings)
    heads, method = spec.num_kv_heads, METHODS[name]
    if method.strategy == "two-stage":
        seconds_of = equal_seconds if method.group_counts else arbitrary_seconds
        options = settings.two_stage
        per_slot, after = seconds_of(heads, options), choice_seconds(options)
    else:
        per_slot, after = optimal_seconds(heads, settings.exact), 0.0
    workers = min(settings.workers or os.cpu_count() or 1, slots)
    together = per_slot * slots
    if workers > 1 and together >= WORTH_PROCESSES_SECONDS:
        together = together / workers + _SPAWN_SECONDS
    return together + after


def wse_bound_seconds(spec: ModelSpec) -> float:
    """Return what the lower bound of the WSE takes."""
    if spec.num_kv_heads <= EXACT_HEADS:
        return spec.num_layers * exact_seconds(spec.num_kv_heads)
    # Eigenvalues of one Gram per layer: nothing beside the rest.
    return 0.0


def objective_seconds(spec: ModelSpec, settings: SearchSettings) -> float:
    """Return what the errors of heads that share a subspace take."""
    width = spec.num_kv_heads * spec.head_dim
    operations = 4.0 * width * spec.hidden_size**2 + 2.0 * width**2 * spec.hidden_size
    products = spec.num_layers * operations / model_speed()
    return products + _num_slots(spec, settings) * _eigen_seconds(spec)


def _num_slots(spec: ModelSpec, settings: SearchSettings) -> int:
    """Return how many groupings are searched: of a layer one, or of K and V one each."""
    return spec.num_layers * (2 if settings.apart else 1)


def model_speed() -> float:
    """Return the operations per second of a model that runs in float32 on all cores."""
    return _MODEL_OPERATIONS_PER_SECOND * _cores()


def _cores() -> float:
    """Return how many times as fast as one core all of them are."""
    return float((os.cpu_count() or 1) ** _CORE_POWER)


def _eigen_seconds(spec: ModelSpec) -> float:
    """Return what the errors of a slot's groups take, whose heads share a subspace."""
    heads = spec.num_kv_heads
    if heads <= EXACT_HEADS:
        cubes = sum(comb(heads, size) * size**3 for size in range(1, heads + 1))
    else:
        # Three groupings of every count, in even groups.
        cubes = 3 * sum(heads**3 // count**2 for count in range(1, heads + 1))
    operations = _EIGEN_OPERATIONS * cubes * spec.head_dim**3
    return operations / (_EIGEN_OPERATIONS_PER_SECOND * _cores())


@dataclass(frozen=True, slots=True)
class _RiseWork:
    """What it takes to foretell and measure rises, in floating-point operations."""

    spec: ModelSpec
    is_foretold: bool
    layer_weights: int
    other_weights: int
    tokens: int

    def of_choices(self, count: int, *, with_refit: bool) -> float:
        """Return what so many choices of one slot take."""
        fit = fit_operations(self.spec, SEARCH_STEPS, self._read) if with_refit else 0.0
        above = 2.0 * (self.layer_weights / 2 + self.other_weights)
        exact = BATCH_TOKENS * exact_batches(self._num_weights)
        exactly = fit + above * min(exact, self._read / MEASURED_EVERY)
        if not self.is_foretold:
            return count * exactly
        foretold = 2.0 * attention_weights(self.spec) * self._read / MEASURED_EVERY
        return count * foretold + (1 + (count - 1) * _MEASURED_SHARE) * exactly

    @property
    def _num_weights(self) -> int:
        return self.layer_weights + self.other_weights

    @property
    def _read(self) -> int:
        batches = ranked_batches if self.is_foretold else read_batches
        return min(self.tokens, BATCH_TOKENS * batches(self._num_weights))


def foretelling_seconds(num_weights: int, *, tokens: int = CALIBRATION_TOKENS) -> float:
    """Return what it takes to get ready to foretell rises: gradients, and all layers' inputs."""
    read = min(tokens, BATCH_TOKENS * ranked_batches(num_weights))
    passes = 1 + (1 + DRAWS) / MEASURED_EVERY
    return 2.0 * num_weights * passes * read / model_speed()


def refit_seconds(spec: ModelSpec, num_weights: int, layer_weights: int) -> float:
    """Return what the refit of all layers of a plan takes."""
    tokens = min(CALIBRATION_TOKENS, BATCH_TOKENS * read_batches(num_weights))
    fits = spec.num_layers * fit_operations(spec, plan_steps(num_weights), tokens)
    # Source and merged model are led through.
    return (fits + 4.0 * layer_weights * tokens) / model_speed()


def fit_operations(spec: ModelSpec, steps: int, tokens: int) -> float:
    """Return what the refit of one layer's attention takes: least squares, then steps."""
    width = spec.num_query_heads * spec.head_dim
    squares = 2.0 * width * (width + spec.hidden_size) * tokens
    return squares + attention_weights(spec) * (4.0 * tokens + 6.0 * steps * BATCH_TOKENS)


def attention_weights(spec: ModelSpec) -> int:
    """Return how many weights the projections of one layer's attention have."""
    return 2 * (spec.num_query_heads + spec.num_kv_heads) * spec.head_dim * spec.hidden_size
