"""How long a search will take, before it starts: its parts, and what else the machine does."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from qcqa.model.inspect import ModelReport
from qcqa.model.spec import ModelSpec
from qcqa.search.method_seconds import (
    calibration_seconds,
    foretelling_seconds,
    method_seconds,
    objective_seconds,
    tokens_of,
    wse_bound_seconds,
)
from qcqa.search.method_sets import with_baselines
from qcqa.search.methods import METHODS, wants_calibration
from qcqa.search.strategy.config import SearchSettings

#: Right to such a factor, either way: by weights alone, and where a model is run.
_SPREAD, _SPREAD_OF_MODEL = 1.6, 2.5
#: Other work that makes a search so much longer is worth a word.
_BUSY = 1.5
#: An interpreter starts and imports what a search needs; with torch and transformers it takes more.
_START_SECONDS, _START_MODEL_SECONDS = 2.0, 6.0
#: From a disk that was not read yet, and the products between heads.
_BYTES_PER_SECOND, _GRAM_OPERATIONS_PER_SECOND = 1e9, 5e10


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
    model: ModelReport,
    *,
    methods: Sequence[str],
    settings: SearchSettings,
    calibration: str | None = None,
) -> TimeEstimate:
    """Return what a search will take; nothing is read and nothing is run.

    Parameters
    ----------
    model : ModelReport
        What :func:`~qcqa.model.inspect.inspect_model` said of it. Downloading it is not
        counted.
    methods : sequence of str
        Searched methods, in their order; the lower bound and, where they are measured, the
        baselines are counted as well.
    settings : SearchSettings
        Of the search.
    calibration : str, optional
        Its text, which may be a short one.
    """
    spec, tokens = model.spec, tokens_of(calibration)
    with_text = wants_calibration(with_baselines(methods), settings)
    parts = [
        TimedPart("start", _START_MODEL_SECONDS if with_text else _START_SECONDS, _SPREAD),
        TimedPart("read", _read_seconds(model), _SPREAD_OF_MODEL),
    ]
    if with_text:
        seconds = calibration_seconds(spec, model.num_weights, tokens=tokens)
        if any(METHODS[name].settings(settings).judged_by == "loss" for name in methods):
            seconds += foretelling_seconds(model.num_weights, tokens=tokens)
        parts.append(TimedPart("calibration", seconds, _SPREAD_OF_MODEL))
    parts.append(TimedPart("bound", wse_bound_seconds(spec), _SPREAD))
    for name in with_baselines(methods):
        method_settings = METHODS[name].settings(settings)
        seconds = method_seconds(
            name,
            spec,
            method_settings,
            layer_weights=model.num_layer_weights,
            other_weights=model.num_weights - model.num_layer_weights,
            tokens=tokens,
            before=[part.name for part in parts if part.name in METHODS],
        )
        spread = _SPREAD if method_settings.judged_by == "wse" else _SPREAD_OF_MODEL
        if seconds > 0:
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
        Any.
    settings : SearchSettings
        Of the search.
    """
    layers = _common_weights(spec)
    return {
        name: method_seconds(
            name,
            spec,
            METHODS[name].settings(settings),
            layer_weights=layers,
            other_weights=0,
            before=methods[:place],
        )
        for place, name in enumerate(methods)
    }


def text_seconds(spec: ModelSpec, methods: Sequence[str], settings: SearchSettings) -> float:
    """Return what reading the calibration text takes, if any method wants it; as above."""
    if not wants_calibration(methods, settings):
        return 0.0
    return calibration_seconds(spec, _common_weights(spec))


def bound_seconds(spec: ModelSpec, settings: SearchSettings) -> float:
    """Return what the lower bound takes, with that of the output error where it is minimised."""
    seconds = wse_bound_seconds(spec)
    if settings.fitness == "output-error":
        seconds += objective_seconds(spec, settings)
    return seconds


def _common_weights(spec: ModelSpec) -> int:
    """Return how many weights layers of common width have.

    Four projections of attention, and eight times the hidden size squared in the feed-forward part.
    """
    return 12 * spec.num_layers * spec.hidden_size**2


def _read_seconds(model: ModelReport) -> float:
    spec = model.spec
    products = 4 * spec.num_layers * spec.num_kv_heads**2 * spec.head_dim * spec.hidden_size
    return model.bytes_to_read / _BYTES_PER_SECOND + products / _GRAM_OPERATIONS_PER_SECOND
