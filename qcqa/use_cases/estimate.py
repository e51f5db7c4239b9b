"""How long a search will take, before it starts.

By weights alone the parts are those of :mod:`qcqa.search.cost`, spread over the processes. What the
model itself is run for, to measure losses on a calibration text, is counted in floating-point
operations; there only the order of magnitude is known.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import comb

from qcqa.methods import METHODS, wants_calibration
from qcqa.model_spec import ModelSpec
from qcqa.search.config import SearchSettings
from qcqa.search.cost import (
    arbitrary_seconds,
    choice_seconds,
    equal_seconds,
    exact_seconds,
    optimal_seconds,
)
from qcqa.search.exact import EXACT_HEADS
from qcqa.search.parallel import WORTH_PROCESSES_SECONDS
from qcqa.use_cases.inspect import ModelReport

#: Right to such a factor, either way: by weights alone, and where a model is run.
_SPREAD, _SPREAD_OF_MODEL = 1.6, 2.5
#: Other work that makes a search so much longer is worth a word.
_BUSY = 1.5
#: An interpreter starts and imports what a search needs; with torch and transformers it takes more.
_START_SECONDS, _START_MODEL_SECONDS = 2.0, 6.0
#: Processes are spawned, and import what stage 1 needs.
_SPAWN_SECONDS = 2.0
#: From a disk that was not read yet, and the products between heads.
_BYTES_PER_SECOND, _GRAM_OPERATIONS_PER_SECOND = 1e9, 5e10
#: Of a model, on one core; more cores help less than they should.
_MODEL_OPERATIONS_PER_SECOND, _CORE_POWER = 4e10, 0.8
#: Of the eigenvalues of Grams of subspaces, for each cube of their size.
_EIGEN_OPERATIONS, _EIGEN_OPERATIONS_PER_SECOND = 10.0, 1e10
#: As :mod:`qcqa.calibrate` and :mod:`qcqa.use_cases.problem` have them; they load torch.
CALIBRATION_TOKENS, _REFIT_STEPS, _REFIT_TOKENS, _MEASURED_SHARE = 32768, 40, 1024, 0.25
#: Groupings of a slot whose loss is measured: every group count, of many heads about a dozen.
_ALL_COUNTS_HEADS, _MEASURED_COUNTS = 16, 12


@dataclass(frozen=True, slots=True)
class TimedPart:
    """A part of a search.

    Parameters
    ----------
    name : str
        ``start``, ``read``, ``calibration``, ``bound`` or a method's name.
    seconds : float
        What it will probably take.
    spread : float
        Factor, at least 1, to which that is right.
    """

    name: str
    seconds: float
    spread: float


@dataclass(frozen=True, slots=True)
class TimeEstimate:
    """What a search will take, part by part.

    Parameters
    ----------
    parts : tuple of TimedPart
        In the order in which they are done.
    timed_runs : int
        Searches on this machine that the estimate rests on.
    is_busy : bool
        Whether other work on this machine makes it longer.
    """

    parts: tuple[TimedPart, ...]
    timed_runs: int = 0
    is_busy: bool = False

    @property
    def seconds(self) -> float:
        """What the whole will probably take."""
        return sum(part.seconds for part in self.parts)

    @property
    def low(self) -> float:
        """What it takes at least, if the estimate is right."""
        return sum(part.seconds / part.spread for part in self.parts)

    @property
    def high(self) -> float:
        """What it takes at most, if the estimate is right."""
        return sum(part.seconds * part.spread for part in self.parts)

    def on_this_machine(self, pace: float = 1.0, *, timed_runs: int = 0) -> "TimeEstimate":
        """Return the estimate for the machine as it is now.

        Parameters
        ----------
        pace : float
            What searches by weights have taken there over their estimates.
        timed_runs : int
            How many searches that is known from.
        """
        load = busy_factor()
        factor = max(pace, load) if timed_runs else load
        parts = tuple(replace(part, seconds=part.seconds * factor) for part in self.parts)
        return TimeEstimate(parts, timed_runs, is_busy=load >= max(_BUSY, pace))


def busy_factor() -> float:
    """Return how many times as long as alone this machine takes, by what else is at work now."""
    if not hasattr(os, "getloadavg"):  # Windows
        return 1.0
    # The search itself is one more to share the cores with.
    return max(1.0, (os.getloadavg()[0] + 1) / (os.cpu_count() or 1))


def estimate_time(
    model: ModelReport, *, methods: Sequence[str], settings: SearchSettings
) -> TimeEstimate:
    """Return what a search will take; nothing is read and nothing is run.

    Parameters
    ----------
    model : ModelReport
        What :func:`~qcqa.use_cases.inspect.inspect_model` said of it. Downloading it is not
        counted.
    methods : sequence of str
        Searched methods, in their order; the baselines and the lower bound take no time beside.
    settings : SearchSettings
        Of the search.
    """
    spec = model.spec
    with_text = wants_calibration(methods, settings)
    parts = [
        TimedPart("start", _START_MODEL_SECONDS if with_text else _START_SECONDS, _SPREAD),
        TimedPart("read", _read_seconds(model), _SPREAD_OF_MODEL),
    ]
    if with_text:
        seconds = _text_seconds(spec, model.num_weights)
        parts.append(TimedPart("calibration", seconds, _SPREAD_OF_MODEL))
    parts.append(TimedPart("bound", _bound_seconds(spec), _SPREAD))
    others = model.num_weights - model.num_layer_weights
    for name in methods:
        its = METHODS[name].settings(settings)
        seconds = _method_seconds(name, spec, its, model.num_layer_weights, others)
        spread = _SPREAD if its.fitness == "wse" else _SPREAD_OF_MODEL
        parts.append(TimedPart(name, seconds, spread))
    return TimeEstimate(tuple(parts))


def searched_seconds(
    spec: ModelSpec, methods: Sequence[str], settings: SearchSettings
) -> dict[str, float]:
    """Return what each method takes, where of the model no more than its geometry is known.

    Parameters
    ----------
    spec : ModelSpec
        Geometry.
    methods : sequence of str
        Any; those that need no search take nothing.
    settings : SearchSettings
        Of the search.
    """
    layers = _common_weights(spec)
    return {
        name: _method_seconds(name, spec, METHODS[name].settings(settings), layers, 0)
        for name in methods
    }


def text_seconds(spec: ModelSpec, methods: Sequence[str], settings: SearchSettings) -> float:
    """Return what reading the calibration text takes, if any method wants it; as above."""
    if not wants_calibration(methods, settings):
        return 0.0
    return _text_seconds(spec, _common_weights(spec))


def bound_seconds(spec: ModelSpec, settings: SearchSettings) -> float:
    """Return what the lower bound takes, with that of the output error where it is minimised."""
    seconds = _bound_seconds(spec)
    if settings.fitness == "output-error":
        seconds += _objective_seconds(spec, settings)
    return seconds


def _common_weights(spec: ModelSpec) -> int:
    """Return how many weights layers of common width have.

    Four projections of attention, and eight times the hidden size squared in the feed-forward part.
    """
    return 12 * spec.num_layers * spec.hidden_size**2


def _text_seconds(spec: ModelSpec, weights: int) -> float:
    operations = 2 * weights * CALIBRATION_TOKENS + _moment_operations(spec)
    return operations / _model_speed()


def _method_seconds(
    name: str, spec: ModelSpec, settings: SearchSettings, layers: int, others: int
) -> float:
    """Return what a method takes; ``layers`` and ``others`` are numbers of weights."""
    if not METHODS[name].needs_search:
        return 0.0
    # What telling other errors takes is counted by itself.
    seconds = weights_seconds(name, spec, settings.model_copy(update={"fitness": "wse"}))
    if settings.fitness != "wse":
        seconds += _objective_seconds(spec, settings)
    if settings.fitness == "loss":
        slots = spec.num_layers * (2 if settings.apart else 1)
        operations = _rise_operations(spec, settings, layers, others)
        seconds += slots * _measured_groupings(spec) * operations / _model_speed()
    return seconds


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
    slots = spec.num_layers * (2 if settings.apart else 1)
    if name == "qcqa-ac":
        per_slot, after = arbitrary_seconds(spec.num_kv_heads, settings), choice_seconds(settings)
    elif name == "qcqa-ec":
        per_slot, after = equal_seconds(spec.num_kv_heads, settings), choice_seconds(settings)
    else:
        per_slot, after = optimal_seconds(spec.num_kv_heads, settings), 0.0
    workers = min(settings.workers or os.cpu_count() or 1, slots)
    together = per_slot * slots
    if workers > 1 and together >= WORTH_PROCESSES_SECONDS:
        together = together / workers + _SPAWN_SECONDS
    return together + after


def _read_seconds(model: ModelReport) -> float:
    spec = model.spec
    products = 4 * spec.num_layers * spec.num_kv_heads**2 * spec.head_dim * spec.hidden_size
    return model.bytes_to_read / _BYTES_PER_SECOND + products / _GRAM_OPERATIONS_PER_SECOND


def _bound_seconds(spec: ModelSpec) -> float:
    if spec.num_kv_heads <= EXACT_HEADS:
        return spec.num_layers * exact_seconds(spec.num_kv_heads)
    # Eigenvalues of one Gram per layer: nothing beside the rest.
    return 0.0


def _model_speed() -> float:
    return _MODEL_OPERATIONS_PER_SECOND * _cores()


def _cores() -> float:
    """Return how many times as fast as one core all of them are."""
    return float((os.cpu_count() or 1) ** _CORE_POWER)


def _moment_operations(spec: ModelSpec) -> float:
    return 2.0 * spec.num_layers * CALIBRATION_TOKENS * spec.hidden_size**2


def _objective_seconds(spec: ModelSpec, settings: SearchSettings) -> float:
    """Return what the errors of heads that share a subspace take."""
    slots = spec.num_layers * (2 if settings.apart else 1)
    width = spec.num_kv_heads * spec.head_dim
    operations = 4.0 * width * spec.hidden_size**2 + 2.0 * width**2 * spec.hidden_size
    return spec.num_layers * operations / _model_speed() + slots * _eigen_seconds(spec)


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


def _measured_groupings(spec: ModelSpec) -> int:
    counts = spec.num_kv_heads - 1
    return counts if spec.num_kv_heads <= _ALL_COUNTS_HEADS else _MEASURED_COUNTS


def _rise_operations(spec: ModelSpec, settings: SearchSettings, layers: int, others: int) -> float:
    """Return what measuring one grouping takes: a refit of its layer, then all layers above it."""
    fitted = 6.0 * layers / spec.num_layers * _REFIT_STEPS * _REFIT_TOKENS
    measured = 2.0 * CALIBRATION_TOKENS * _MEASURED_SHARE * (layers / 2 + others)
    return (fitted if settings.refit else 0.0) + measured
