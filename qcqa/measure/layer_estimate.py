"""What measuring the layers of a plan takes, before it starts: time and memory."""

from qcqa.measure.estimate import MeasureEstimate, Workload
from qcqa.measure.sensitivity import LayerSensitivity, TextAmount, num_passes, reduced_layers
from qcqa.plan.plan import Plan

#: As :mod:`qcqa.measure.measure_layers` has it, which loads torch.
_BATCH_TOKENS = 2048


def estimate_sensitivity(
    work: Workload,
    plan: Plan,
    text: TextAmount,
    *,
    before: LayerSensitivity | None = None,
) -> MeasureEstimate:
    """Return what measuring the layers of a plan takes; nothing is read.

    Parameters
    ----------
    work : Workload
        The source, and the model of the plan.
    plan : Plan
        Whose layers are to be measured.
    text : TextAmount
        What is read of the text.
    before : LayerSensitivity, optional
        Of the same model on this machine, in the same type: its pace counts in place of the count
        of operations.
    """
    token_passes = text.num_tokens * num_passes(plan)
    if before is None:
        seconds = work.read_seconds(1) * token_passes
    else:
        seconds = before.seconds / before.token_passes * token_passes
    batch = max(text.window_tokens, min(_BATCH_TOKENS, work.batch_tokens // 2))
    return MeasureEstimate(
        # The source, and one for each layer that is reduced.
        1 + len(reduced_layers(plan)),
        text.num_tokens,
        work.start_seconds() + seconds,
        work.memory_bytes() + work.logits_bytes(batch, models=2),
        work.dtype,
        timed_jobs=0 if before is None else 1,
    )
