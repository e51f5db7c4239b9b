"""What measuring and generating take, from what such jobs took here before."""

import streamlit as st

from qcqa.charts.jobs.preflight import measure_sentence, memory_warning
from qcqa.errors import QCQAError
from qcqa.jobs.clock import utc_now
from qcqa.jobs.config import EvaluationConfig, GenerationConfig
from qcqa.jobs.measuring import estimated_evaluation, estimated_generation
from qcqa.jobs.pace import measuring_pace
from qcqa.jobs.run import Run
from qcqa.jobs.store import jobs_with_those_of
from qcqa.measure.benchmark import Benchmark
from qcqa.measure.estimate import MeasureEstimate, demo_tokens
from qcqa.measure.generated import GenerationSettings
from qcqa.model.dtype import kept_dtype
from qcqa.model.inspect import ModelReport
from qcqa.plan.plan import Plan
from ui.device import probable_device, probable_dtype
from ui.looks import look_at_text
from ui.results import result_of
from ui.search_model import look_at


def evaluation_estimate(
    run: Run,
    plans: list[Plan],
    benchmark: Benchmark,
    *,
    has_source: bool,
    device: str,
    dtype: str,
) -> MeasureEstimate | None:
    """Return what measuring plans takes; None where the model or the text is not there.

    Parameters
    ----------
    run : Run
        A search.
    plans : list of Plan
        Those that are not measured yet.
    benchmark : Benchmark
        What is measured.
    has_source : bool
        Whether the source is to be measured, too.
    device, dtype : str
        As they were chosen.
    """
    model = _model(run)
    if model is None:
        return None
    tokens = 0
    try:
        if benchmark.text == "demo":
            tokens = demo_tokens(benchmark.limit)
        elif benchmark.text is not None:
            tokens = look_at_text(run, benchmark.text, benchmark.limit)
    except QCQAError:
        # The form says why.
        return None
    on = probable_device(device)
    estimate = estimated_evaluation(
        run, model, plans, benchmark, has_source=has_source, tokens=tokens, device=on, dtype=dtype
    )
    like = EvaluationConfig(
        name="",
        created=utc_now(),
        points=(("mha", 0),),
        benchmark=benchmark,
        device=device,
        dtype=_kept(run, dtype, device),
    )
    return _at_pace(run, estimate, like)


def generation_estimate(
    run: Run, plans: list[Plan], settings: GenerationSettings, *, device: str, dtype: str
) -> MeasureEstimate | None:
    """Return what a generation takes; as above."""
    model = _model(run)
    if model is None:
        return None
    on = probable_device(device)
    estimate = estimated_generation(run, model, plans, settings, device=on, dtype=dtype)
    like = GenerationConfig(
        name="",
        created=utc_now(),
        points=(),
        settings=settings,
        device=device,
        dtype=_kept(run, dtype, device),
    )
    return _at_pace(run, estimate, like)


def tell_estimate(estimate: MeasureEstimate) -> str:
    """Return what it takes in a sentence, and warn where memory is too small."""
    warning = memory_warning(estimate)
    if warning:
        st.warning(warning, icon=":material/memory:")
    return measure_sentence(estimate)


def _at_pace(
    run: Run, estimate: MeasureEstimate, like: EvaluationConfig | GenerationConfig
) -> MeasureEstimate:
    pace, timed = measuring_pace(jobs_with_those_of(run), like=like)
    return estimate.at_pace(pace, timed_jobs=timed)


def _kept(run: Run, dtype: str, device: str) -> str:
    """Return what the config of the job will call the type."""
    result = result_of(run)
    checkpoint_dtype = result.spec.dtype if result else dtype
    return kept_dtype(probable_dtype(dtype, checkpoint_dtype, device=device).name, checkpoint_dtype)


def _model(run: Run) -> ModelReport | None:
    found = look_at(run.search.model, run.search.revision)
    return None if isinstance(found, QCQAError) else found
