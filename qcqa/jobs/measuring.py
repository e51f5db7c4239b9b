"""What measuring a search's plans, or generating with them, takes before it starts."""

from collections.abc import Sequence

from qcqa.errors import EvaluationError
from qcqa.files.user_path import existing_file
from qcqa.jobs.machine import dtype_here, known_slowdown
from qcqa.jobs.run import Run
from qcqa.measure.benchmark import Benchmark
from qcqa.measure.estimate import (
    MeasureEstimate,
    Workload,
    estimate_evaluation,
    estimate_generation,
)
from qcqa.measure.generated import GenerationSettings
from qcqa.model.dtype import kept_dtype
from qcqa.model.inspect import ModelReport
from qcqa.plan.plan import Plan
from qcqa.text.fitted import needs_text
from qcqa.text.through_cache import reads_through_cache

#: A prompt is short: about so many characters are a token.
_CHARACTERS_PER_TOKEN = 4


def estimated_evaluation(
    run: Run,
    model: ModelReport,
    plans: Sequence[Plan],
    benchmark: Benchmark,
    *,
    has_source: bool,
    tokens: int,
    device: str,
    dtype: str,
) -> MeasureEstimate:
    """Return what measuring plans of a search takes, by the count of operations.

    Parameters
    ----------
    run : Run
        The search.
    model : ModelReport
        What :func:`~qcqa.model.inspect.inspect_model` says of its model.
    plans : sequence of Plan
        Those that are not measured yet.
    benchmark : Benchmark
        What is measured.
    has_source : bool
        Whether the source has to be measured, too.
    tokens : int
        Of the benchmark's text, that each model reads.
    device, dtype : str
        ``cpu``, ``cuda`` …; ``auto``, ``float32`` …
    """
    work = workload_of(run, model, plans, has_source=has_source, device=device, dtype=dtype)
    return estimate_evaluation(work, benchmark, tokens=tokens)


def estimated_generation(
    run: Run,
    model: ModelReport,
    plans: Sequence[Plan],
    settings: GenerationSettings,
    *,
    device: str,
    dtype: str,
) -> MeasureEstimate:
    """Return what a generation takes, by the count of operations; as above."""
    work = workload_of(run, model, plans, has_source=True, device=device, dtype=dtype)
    return estimate_generation(
        work,
        prompt_tokens=len(settings.prompt) // _CHARACTERS_PER_TOKEN + 1,
        new_tokens=settings.max_new_tokens,
    )


def dtype_of_job(run: Run, dtype: str, *, device: str) -> str:
    """Return the type as a job's config and the rows of figures have it, chosen once and for all.

    ``auto`` is the checkpoint's own from then on, wherever the job goes on.
    """
    checkpoint_dtype = run.result().spec.dtype
    chosen = dtype_here(dtype, checkpoint_dtype, device=torch_device(device))
    return kept_dtype(chosen.name, checkpoint_dtype)


def torch_device(device: str) -> str:
    """Return torch's name of a device; ``auto`` is the one that a worker takes here."""
    if device != "auto":
        return device
    # Here, because it loads torch, as the worker will.
    from qcqa.model.device import default_device

    return default_device()


def whole_path(text: str) -> str:
    """Return a text's whole path, for a worker that is started elsewhere; ``demo`` stays."""
    if text == "demo":
        return text
    found = existing_file(text, expected="a file with text", refusal=EvaluationError)
    return str(found.resolve())


def workload_of(
    run: Run,
    model: ModelReport,
    plans: Sequence[Plan],
    *,
    has_source: bool,
    device: str,
    dtype: str,
) -> Workload:
    """Return the models that a job on plans of a search runs; parameters as above."""
    chosen = dtype_here(dtype, model.spec.dtype, device=device)
    is_half = chosen.name in ("bfloat16", "float16")
    return Workload(
        model=model,
        # Two methods may have found the same plan: it makes one model.
        num_plans=len({plan.digest for plan in plans}),
        has_source=has_source,
        num_fitted=sum(needs_text(plan, run.fitted_folder) for plan in plans),
        dtype=chosen,
        slowdown=known_slowdown(chosen.name) if is_half and device == "cpu" else 1.0,
        device=device.partition(":")[0],
        num_in_pieces=len({plan.digest for plan in plans if reads_through_cache(plan)}),
    )
