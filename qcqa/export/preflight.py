"""Look at a conversion before it starts: from headers alone, without loading torch."""

from dataclasses import dataclass
from pathlib import Path

from qcqa.conversion.converted import SMALL_FILES_BYTES
from qcqa.errors import ConversionError, PlanError
from qcqa.files.places import free_bytes, require_empty, require_room, require_writable
from qcqa.files.user_path import is_plain_file
from qcqa.model.opening import open_checkpoint
from qcqa.model.spec import ModelSpec, dtype_bytes
from qcqa.plan.budget import GIB
from qcqa.plan.file import load_plan
from qcqa.plan.plan import Plan
from qcqa.sizes import bytes_text

#: A model in memory beside its weights: the interpreter, torch, and what a short prompt takes.
_MEMORY_BESIDE_WEIGHTS = GIB // 2

_FLOAT32_BYTES = 4


@dataclass(frozen=True, slots=True)
class ConversionPreflight:
    """What a conversion needs, and what there is.

    Parameters
    ----------
    source_bytes, weight_bytes : int
        Of all weights, before and after.
    disk_free_bytes : int
        Where the folder is to be.
    memory_bytes : int
        What the conversion must hold at a time; little where it goes tensor by tensor.
    opening_bytes : int
        What opening the converted model takes, to measure its cache at the end.
    memory_free_bytes : int or None
        Memory that is free; None where the system does not tell.
    """

    source_bytes: int
    weight_bytes: int
    disk_free_bytes: int
    memory_bytes: int
    opening_bytes: int
    memory_free_bytes: int | None

    @property
    def can_be_opened(self) -> bool:
        """Whether there is memory to open the converted model and measure its cache."""
        return self.memory_free_bytes is None or self.opening_bytes <= self.memory_free_bytes


@dataclass(frozen=True, slots=True)
class ConversionSource:
    """A source that was looked at, for any number of its plans.

    Parameters
    ----------
    spec : ModelSpec
        Its geometry.
    fingerprint : str or None
        Of its weights; None where they would have to be fetched from the Hub.
    num_bytes, num_weights : int
        Of all weights.
    """

    spec: ModelSpec
    fingerprint: str | None
    num_bytes: int
    num_weights: int


def conversion_source(model: str, *, revision: str | None = None) -> ConversionSource:
    """Look at a source: its config, its headers, and a sample of weights that are here.

    Parameters
    ----------
    model : str
        Local folder, Hub id, or ``demo``.
    revision : str, optional
        Branch, tag or commit on the Hub.

    Raises
    ------
    CheckpointError
        If it is gone, damaged, or of an unknown family.
    """
    checkpoint = open_checkpoint(model, revision=revision)
    checkpoint.require_language_model()
    tensors = [tensor for _, header in checkpoint.headers() for tensor in header.values()]
    return ConversionSource(
        spec=checkpoint.spec,
        fingerprint=checkpoint.fingerprint() if checkpoint.spec.revision is None else None,
        num_bytes=sum(tensor.num_bytes for tensor in tensors),
        num_weights=sum(tensor.num_weights for tensor in tensors),
    )


def preflight_conversion(
    source: ConversionSource, plan: Plan, folder: Path, *, may_be_made: bool = False
) -> ConversionPreflight:
    """Refuse a conversion that cannot end well; otherwise say what it needs.

    Parameters
    ----------
    source : ConversionSource
        The model, as :func:`conversion_source` found it.
    plan : Plan
        Made for this model.
    folder : Path
        Where the converted checkpoint is to be.
    may_be_made : bool
        Whether it may be there already, from a worker that was stopped in the end.

    Raises
    ------
    ConversionError
        If the plan merges nothing, the folder holds something or cannot be written to, or disk or
        memory have no room.
    PlanError
        If the model is not the one that was searched (any more).
    """
    if not (may_be_made and is_made_by(plan, folder)):
        require_empty(folder)
    require_writable(folder)
    if not any(layer.key or layer.value for layer in plan.layers):
        raise ConversionError(
            "a plan in which every head keeps its own",
            expected="a plan that is smaller than its source",
            remedy="choose a smaller budget",
        )
    # The conversion itself fetches the weights of the Hub, and compares them.
    plan.require_model(source.spec, source.fingerprint or plan.fingerprint)
    weight_bytes = source.num_bytes - _saved_bytes(plan)
    require_room(folder, weight_bytes + SMALL_FILES_BYTES)
    memory_bytes = _memory_bytes(plan, source.num_weights)
    free = free_memory_bytes()
    if free is not None and memory_bytes > free:
        raise ConversionError(
            f"{bytes_text(free)} of memory free",
            expected=f"{bytes_text(memory_bytes)}{_reason(plan)}",
            remedy="close what else runs or use a larger machine"
            + (", or take a plan that rests on the weights alone" if plan.calibration else ""),
        )
    return ConversionPreflight(
        source_bytes=source.num_bytes,
        weight_bytes=weight_bytes,
        disk_free_bytes=free_bytes(folder),
        memory_bytes=memory_bytes,
        opening_bytes=opening_bytes(weight_bytes),
        memory_free_bytes=free,
    )


def is_made_by(plan: Plan, folder: Path) -> bool:
    """Return whether a folder, which appears when it is whole, holds what a plan makes."""
    file = folder / "plan.json"
    try:
        return is_plain_file(file) and load_plan(file).digest == plan.digest
    except PlanError:
        return False


def opening_bytes(weight_bytes: int) -> int:
    """Return the memory that opening a model takes, in the type in which it is stored."""
    return weight_bytes + _MEMORY_BESIDE_WEIGHTS


def free_memory_bytes() -> int | None:
    """Return the memory that programs may still take, or None where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    sizes = dict(line.split(":", maxsplit=1) for line in lines)
    available = sizes.get("MemAvailable")
    return int(available.split()[0]) * 1024 if available else None


def _saved_bytes(plan: Plan) -> int:
    """Return the bytes of the K and V rows that a plan does away with, less those of its maps."""
    spec = plan.model
    num_heads = spec.num_stored_heads - plan.num_stored_heads
    of_maps = sum(layer.map_weights(spec) for layer in plan.layers)
    return (num_heads * spec.weights_per_head - of_maps) * dtype_bytes(spec.dtype)


def _memory_bytes(plan: Plan, num_weights: int) -> int:
    """Return what must be in memory at a time: the whole model in float32 where a text is read."""
    attention = _attention_weights(plan.model)
    if plan.calibration is None:
        # A layer before and after its merge.
        weights = 2 * attention // plan.model.num_layers
    else:
        weights = num_weights + (attention if plan.refit else 0)
    return weights * _FLOAT32_BYTES + _MEMORY_BESIDE_WEIGHTS


def _reason(plan: Plan) -> str:
    return "" if plan.calibration is None else ": the model reads its calibration text in float32"


def _attention_weights(spec: ModelSpec) -> int:
    heads = 2 * spec.num_query_heads + 2 * spec.num_kv_heads
    return spec.num_layers * heads * spec.head_dim * spec.hidden_size
