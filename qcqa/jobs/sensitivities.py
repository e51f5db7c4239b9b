"""Measurements of what each layer of a plan does alone: runs inside a search's directory."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from qcqa.errors import RunError
from qcqa.jobs.clock import utc_now
from qcqa.jobs.config import SensitivityConfig
from qcqa.jobs.jobs import jobs_of
from qcqa.jobs.measuring import torch_device, whole_path, workload_of
from qcqa.jobs.new import write_new_job
from qcqa.jobs.outcomes import load_outcome
from qcqa.jobs.plans import plan_at
from qcqa.jobs.run import Run
from qcqa.measure.estimate import MeasureEstimate
from qcqa.measure.layer_estimate import estimate_sensitivity
from qcqa.measure.sensitivity import (
    LayerSensitivity,
    SensitivitySettings,
    TextAmount,
    digest_of_text,
)
from qcqa.model.inspect import ModelReport, inspect_model
from qcqa.plan.plan import Plan
from qcqa.search.methods import METHODS

#: Files of a measurement: what came of it, and what it has scored while it is not at its end.
FOUND, SCORES = "layers.json", "scores.safetensors"


def create_sensitivity(
    run: Run,
    *,
    point: tuple[str, int],
    settings: SensitivitySettings,
    device: str = "auto",
    dtype: str = "auto",
) -> Run:
    """Make a measurement of a plan's layers, ready for a worker.

    Parameters
    ----------
    run : Run
        The search, with a result.
    point, settings, device, dtype
        As in :class:`~qcqa.jobs.config.SensitivityConfig`.

    Raises
    ------
    QCQAError
        If there is no plan at the point or no heads share in it, the text cannot be used or is
        what the plan was calibrated on, or the run's directory cannot be written.
    """
    config = _config(run, point, settings, device, dtype)
    require_possible(run, config)
    return write_new_job(run, config)


def sensitivity_before_start(
    run: Run,
    *,
    point: tuple[str, int],
    settings: SensitivitySettings,
    device: str = "auto",
    dtype: str = "auto",
) -> MeasureEstimate:
    """Return what a measurement of a plan's layers takes; nothing is written.

    Parameters and errors are those of :func:`create_sensitivity`.
    """
    config = _config(run, point, settings, device, dtype)
    return estimated_sensitivity(
        run,
        inspect_model(run.search.model, revision=run.search.revision),
        plan_at(run, config.point),
        require_possible(run, config),
        device=torch_device(device),
        dtype=dtype,
    )


def estimated_sensitivity(
    run: Run,
    model: ModelReport,
    plan: Plan,
    text: TextAmount,
    *,
    device: str,
    dtype: str,
) -> MeasureEstimate:
    """Return what measuring the layers of a plan takes, by what was measured here before.

    Parameters
    ----------
    plan : Plan
        Whose layers are to be measured.
    text : TextAmount
        What :func:`require_possible` returns.
    run, model, device, dtype
        As in :func:`~qcqa.jobs.measuring.estimated_evaluation`.
    """
    work = workload_of(run, model, [plan], has_source=True, device=device, dtype=dtype)
    like = (
        found
        for _, found in _all_found(run)
        if found.device.startswith(work.device) and found.dtype == work.dtype.name
    )
    return estimate_sensitivity(work, plan, text, before=next(like, None))


def require_possible(run: Run, config: SensitivityConfig) -> TextAmount:
    """Refuse a measurement that cannot come to an end; loads no weights.

    Returns
    -------
    TextAmount
        What is read of the text.

    Raises
    ------
    QCQAError
        If the plan, the model, or a text is not there, or cannot be used.
    """
    # Here, because it loads torch, as the worker will.
    from qcqa.measure.measure_layers import require_sensitivity

    return require_sensitivity(
        run.search.model,
        plan_at(run, config.point),
        config.settings,
        revision=run.search.revision,
        fitted=run.fitted_folder,
    )


def sensitivities_of(run: Run) -> list[Run]:
    """Return the measurements of a search's layers, newest first; damaged ones are left out."""
    return jobs_of(run, "sensitivity")


def found_of(measurement: Run) -> LayerSensitivity:
    """Return what came of a finished measurement.

    Raises
    ------
    RunError
        If the run is none, or has not come to an end, or its file is damaged.
    """
    measurement.asked(SensitivityConfig, "a measurement of layers")
    return load_outcome(LayerSensitivity, measurement.folder / FOUND)


def found_before(
    run: Run,
    plan: Plan,
    settings: SensitivitySettings,
    *,
    device: str = "auto",
    dtype: str = "auto",
) -> Run | None:
    """Return the newest measurement that has found what another one would find, or None.

    One is of no use whose text says something else by now, or that did not keep what it said.

    Parameters
    ----------
    run : Run
        The search.
    plan : Plan
        Of which a measurement is thought of; another method may have found the same.
    settings, device, dtype
        As in :func:`create_sensitivity`.

    Raises
    ------
    EvaluationError
        If the text is not there.
    """
    settings = replace(settings, text=whole_path(settings.text))
    wanted = (plan.digest, digest_of_text(settings.text))
    for measurement, found in _all_found(run):
        config = measurement.config
        if (
            isinstance(config, SensitivityConfig)
            and (config.settings, config.device, config.dtype) == (settings, device, dtype)
            and (found.plan_digest, found.text_digest) == wanted
        ):
            return measurement
    return None


def _all_found(run: Run) -> Iterator[tuple[Run, LayerSensitivity]]:
    """Yield the finished measurements of a search and what they found, newest first."""
    for measurement in sensitivities_of(run):
        with suppress(RunError):
            yield measurement, found_of(measurement)


def _config(
    run: Run,
    point: tuple[str, int],
    settings: SensitivitySettings,
    device: str,
    dtype: str,
) -> SensitivityConfig:
    plan = plan_at(run, point)
    return SensitivityConfig(
        name=f"{METHODS[point[0]].label} at {100 * plan.kv_ratio:.3g} %",
        created=utc_now(),
        point=point,
        settings=replace(settings, text=whole_path(settings.text)),
        device=device,
        dtype=dtype,
    )
