"""How long a search will take, before it starts.

By weights alone the parts are those of :mod:`qcqa.search.cost`, spread over the processes. What the
model itself is run for, to measure losses on a calibration text, is counted in floating-point
operations; there only the order of magnitude is known.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import comb

from qcqa.methods import METHODS
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
from qcqa.use_cases.search import wants_calibration, with_baselines

#: Right to such a factor, either way: by weights alone, the same once runs on this machine were
#: timed, and where a model is run.
_SPREAD, SPREAD_OF_TIMED, _SPREAD_OF_MODEL = 1.6, 1.3, 2.5
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
        Searches on this machine that the estimate was adapted to.
    """

    parts: tuple[TimedPart, ...]
    timed_runs: int = 0

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

    def adapted(self, pace: float, timed_runs: int) -> "TimeEstimate":
        """Return the estimate for a machine of another pace than the one that was measured.

        Parameters
        ----------
        pace : float
            What searches by weights took there over their estimates.
        timed_runs : int
            How many searches that is known from; 0 leaves the estimate as it is.
        """
        if not timed_runs:
            return self
        parts = tuple(
            replace(part, seconds=part.seconds * pace, spread=min(part.spread, SPREAD_OF_TIMED))
            if part.spread < _SPREAD_OF_MODEL
            else replace(part, seconds=part.seconds * pace)
            for part in self.parts
        )
        return TimeEstimate(parts, timed_runs)


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
        Searched methods; the baselines and the lower bound come along.
    settings : SearchSettings
        Of the search.

    Raises
    ------
    SettingsError
        If a method is unknown.
    """
    spec = model.spec
    wanted = with_baselines(methods)
    with_text = wants_calibration(wanted, settings)
    parts = [
        TimedPart("start", _START_MODEL_SECONDS if with_text else _START_SECONDS, _SPREAD),
        TimedPart("read", _read_seconds(model), 2 * _SPREAD),
    ]
    if with_text:
        operations = 2 * model.num_weights * CALIBRATION_TOKENS + _moment_operations(spec)
        parts.append(_model_part("calibration", operations / _model_speed()))
    parts.append(TimedPart("bound", _bound_seconds(spec), _SPREAD))
    for name in wanted:
        method = METHODS[name]
        if not method.needs_search:
            continue
        its = method.settings(settings)
        seconds = weights_seconds(name, spec, its)
        if its.fitness == "wse":
            parts.append(TimedPart(name, seconds, _SPREAD))
        else:
            parts.append(_model_part(name, seconds + _text_seconds(model, its)))
    return TimeEstimate(tuple(parts))


def _model_part(name: str, seconds: float) -> TimedPart:
    return TimedPart(name, seconds, _SPREAD_OF_MODEL)


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


def _text_seconds(model: ModelReport, settings: SearchSettings) -> float:
    """Return what the fitness of a calibrated method takes beyond Grams of weights."""
    spec = model.spec
    slots = spec.num_layers * (2 if settings.apart else 1)
    width = spec.num_kv_heads * spec.head_dim
    heads = 4.0 * width * spec.hidden_size**2 + 2.0 * width**2 * spec.hidden_size
    seconds = spec.num_layers * heads / _model_speed()
    seconds += slots * _eigen_seconds(spec)
    if settings.fitness == "loss":
        seconds += (
            slots * _measured_groupings(spec) * _rise_operations(model, settings) / (_model_speed())
        )
    return seconds


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


def _rise_operations(model: ModelReport, settings: SearchSettings) -> float:
    """Return what measuring one grouping takes: a refit of its layer, then all layers above it."""
    of_layer = model.num_layer_weights / model.spec.num_layers
    others = model.num_weights - model.num_layer_weights
    fitted = 6.0 * of_layer * _REFIT_STEPS * _REFIT_TOKENS if settings.refit else 0.0
    measured_tokens = CALIBRATION_TOKENS * _MEASURED_SHARE
    return fitted + 2.0 * measured_tokens * (model.num_layer_weights / 2 + others)
