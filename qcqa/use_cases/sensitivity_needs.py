"""What measuring the layers of a plan takes, before it starts."""

from dataclasses import dataclass

from qcqa.model_spec import DTYPE_BYTES
from qcqa.plan import GroupingPlan
from qcqa.sensitivity import LayerSensitivity, num_passes
from qcqa.use_cases.inspect import ModelReport
from qcqa.use_cases.method_seconds import CALIBRATION_TOKENS, calibration_seconds

#: An interpreter starts, imports torch, and reads the weights from a disk that was not read yet.
_START_SECONDS, _BYTES_PER_SECOND = 6.0, 1e9

#: As :mod:`qcqa.evaluate` has them, which loads torch: tokens of a batch, elements of its logits,
#: and of the float32 copies that are compared at a time.
_BATCH_TOKENS, _LOGITS, _PIECES = 2048, 2**27, 4 * 2**25

_USUAL_VOCABULARY = 2**15

#: Of a process that has loaded torch and transformers, and nothing else.
_PROCESS_BYTES = 600 * 2**20


@dataclass(frozen=True, slots=True)
class SensitivityNeeds:
    """What a measurement will probably take.

    Parameters
    ----------
    seconds : float
        Without fitting attention that is not kept yet.
    memory_bytes : int
        At its peak.
    """

    seconds: float
    memory_bytes: int


def sensitivity_needs(
    model: ModelReport,
    plan: GroupingPlan,
    num_tokens: int,
    *,
    before: LayerSensitivity | None = None,
) -> SensitivityNeeds:
    """Return what measuring the layers of a plan takes; nothing is read.

    Parameters
    ----------
    model : ModelReport
        The source.
    plan : GroupingPlan
        Whose layers are to be measured.
    num_tokens : int
        Tokens of the text that is read.
    before : LayerSensitivity, optional
        Of the same model, measured on this machine: its pace counts in place of a guess.
    """
    element = DTYPE_BYTES.get(model.spec.dtype, 4)
    weights = model.num_weights * element
    per_pass = calibration_seconds(model.spec, model.num_weights) / CALIBRATION_TOKENS
    if before is not None:
        per_pass = before.seconds / before.token_passes
    seconds = num_tokens * num_passes(plan) * per_pass
    logits = min(_BATCH_TOKENS * (model.vocab_size or _USUAL_VOCABULARY), _LOGITS)
    # Of source and merged layer, and pieces of both as float32.
    # The merged attention is about a third of a layer's weights.
    models = weights + model.num_layer_weights * element / 3
    at_work = 2 * logits * element + 4 * min(4 * logits, _PIECES)
    return SensitivityNeeds(
        seconds=_START_SECONDS + weights / _BYTES_PER_SECOND + seconds,
        memory_bytes=int(_PROCESS_BYTES + models + at_work),
    )
