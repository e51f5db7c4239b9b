"""All that can be said of a search before it starts: the model, time, memory and disk."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qcqa.files.places import free_bytes
from qcqa.model.inspect import ModelReport
from qcqa.model.language_head import require_head
from qcqa.search.estimate import TimeEstimate, estimate_time
from qcqa.search.method_seconds import tokens_of
from qcqa.search.method_sets import refuse_bits, with_baselines
from qcqa.search.methods import METHODS, wants_calibration
from qcqa.search.strategy.config import SearchSettings
from qcqa.sizes import bytes_text
from qcqa.text.amounts import (
    BATCH_TOKENS,
    DRAWS,
    MEASURED_EVERY,
    MOST_STATES_BYTES,
    exact_batches,
    read_batches,
)

#: A process that searches, each of those that it spawns, and one with torch and transformers.
_PROCESS_BYTES, _SPAWNED_BYTES, _MODEL_PROCESS_BYTES = 180 * 2**20, 85 * 2**20, 600 * 2**20
#: Layers whose K/V weights are in memory at a time, in float32.
_LAYERS_AT_ONCE = 2
#: Fronts, Grams and progress.
_SMALL_FILES_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Preflight:
    """A search that may start.

    Parameters
    ----------
    model : ModelReport
        What is searched.
    time : TimeEstimate
        How long it will take.
    memory_bytes : int
        Peak memory of all its processes, about.
    disk_bytes : int
        What its run directory will hold, about.
    warnings : tuple of str
        What will probably go wrong, a sentence each.
    """

    model: ModelReport
    time: TimeEstimate
    memory_bytes: int
    disk_bytes: int
    warnings: tuple[str, ...]


def preflight(
    model: ModelReport,
    *,
    methods: Sequence[str],
    settings: SearchSettings,
    calibration: str | None = None,
    folder: Path | None = None,
) -> Preflight:
    """Say what a search takes before it starts; reads and loads nothing.

    Parameters
    ----------
    model : ModelReport
        What :func:`~qcqa.model.inspect.inspect_model` said of the model.
    methods, settings
        Of the search.
    calibration : str, optional
        Its text, which may be a short one.
    folder : Path, optional
        Where its run directory will be, to see whether it has room there.

    Raises
    ------
    SettingsError
        If a method is unknown; as :func:`~qcqa.search.method_sets.refuse_bits`.
    UnsupportedModelError
        If the search needs a language model, and this is none.
    """
    # In the order in which they are searched.
    searched = [name for name in with_baselines(methods) if METHODS[name].needs_search]
    refuse_bits(methods, settings, model.spec)
    with_text = wants_calibration(searched, settings)
    if with_text:
        require_head(model.missing_head, model.spec.source)
    memory = _memory_bytes(model, settings, tokens_of(calibration) if with_text else 0)
    disk = _disk_bytes(model, with_text=with_text)
    return Preflight(
        model=model,
        time=estimate_time(model, methods=searched, settings=settings, calibration=calibration),
        memory_bytes=memory,
        disk_bytes=disk,
        warnings=tuple(_warnings(model, memory, disk, folder)),
    )


def _memory_bytes(model: ModelReport, settings: SearchSettings, tokens: int) -> int:
    spec = model.spec
    layer = 2 * spec.num_kv_heads * spec.weights_per_head * 4
    reading = _PROCESS_BYTES + _LAYERS_AT_ONCE * layer
    workers = min(settings.workers or os.cpu_count() or 1, spec.num_layers)
    searching = _PROCESS_BYTES + (workers * _SPAWNED_BYTES if workers > 1 else 0)
    if not tokens:
        return max(reading, searching)
    weights = 4 * model.num_weights
    state = 4 * spec.hidden_size  # of a token
    read = min(tokens, BATCH_TOKENS * read_batches(model.num_weights))
    measured = read // MEASURED_EVERY
    # Of all that is calibrated with before and behind a layer; then of what is read of all layers.
    every = spec.num_layers * read * state
    states = max(2 * tokens * state, every if every <= MOST_STATES_BYTES else 2 * read * state)
    gradients = spec.num_layers * DRAWS * measured * state
    exact = min(measured, BATCH_TOKENS * exact_batches(model.num_weights))
    # Those of a batch several times: a backward pass goes through them.
    predictions = 4 * (exact + 4 * BATCH_TOKENS) * (model.vocab_size or 0)
    # Moments of a layer and the Grams of its values, in float64.
    width = spec.num_kv_heads * spec.head_dim
    moments = 2 * 8 * (spec.hidden_size**2 + width**2)
    return _MODEL_PROCESS_BYTES + weights + states + gradients + predictions + moments


def _disk_bytes(model: ModelReport, *, with_text: bool) -> int:
    if not with_text:
        return _SMALL_FILES_BYTES
    spec = model.spec
    width = spec.num_kv_heads * spec.head_dim
    # Per layer half a symmetric matrix of the input, and the inner products between all rows.
    per_layer = 8 * spec.hidden_size**2 // 2 + 4 * width**2
    return _SMALL_FILES_BYTES + spec.num_layers * per_layer


def _warnings(model: ModelReport, memory: int, disk: int, folder: Path | None) -> list[str]:
    found = []
    if model.missing_head is not None:
        found.append(
            f"It has no language-model head ({model.missing_head}): heads can be compared, but no "
            "plan can be measured or carried out."
        )
    there = machine_memory_bytes()
    if there is not None and memory > there:
        found.append(
            f"It needs about {bytes_text(memory)} of memory and this machine has "
            f"{bytes_text(there)}: it will probably not come to an end."
        )
    if folder is not None:
        free = free_bytes(folder)
        if disk > free:
            found.append(
                f"It needs about {bytes_text(disk)} of disk and {folder} has "
                f"{bytes_text(free)} free."
            )
    return found


def machine_memory_bytes() -> int | None:
    """Return the memory of this machine, or None where it does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None
