"""Measurements of what each layer of a plan does alone: runs inside a search's directory."""

from contextlib import suppress
from dataclasses import replace

from qcqa.errors import EvaluationError, RunError
from qcqa.methods import METHODS
from qcqa.plan import GroupingPlan
from qcqa.runs.clock import utc_now
from qcqa.runs.config import SensitivityConfig
from qcqa.runs.jobs import jobs_of
from qcqa.runs.new import write_new_job
from qcqa.runs.plans import plan_of_run
from qcqa.runs.run import Run
from qcqa.sensitivity import LayerSensitivity, SensitivitySettings, load_sensitivity
from qcqa.user_path import existing_file

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
        As in :class:`~qcqa.runs.config.SensitivityConfig`.

    Raises
    ------
    QCQAError
        If there is no plan at the point or no heads share in it, the text cannot be used or is
        what the plan was calibrated on, or the run's directory cannot be written.
    """
    method, max_cached_heads = point
    plan = plan_of_run(run, max_cached_heads, method=method)
    config = SensitivityConfig(
        name=f"{METHODS[method].label} at {100 * plan.kv_ratio:.3g} %",
        created=utc_now(),
        point=point,
        settings=_from_anywhere(settings),
        device=device,
        dtype=dtype,
    )
    require_possible(run, config)
    return write_new_job(run, config)


def require_possible(run: Run, config: SensitivityConfig) -> None:
    """Refuse a measurement that cannot come to an end; loads no weights.

    Raises
    ------
    QCQAError
        If the plan, the model, or a text is not there, or cannot be used.
    """
    # Here, because it loads torch, as the worker will.
    from qcqa.use_cases.sensitivity import require_sensitivity

    require_sensitivity(
        run.search.model,
        plan_to_measure(run, config),
        config.settings,
        revision=run.search.revision,
        fitted=run.fitted_folder,
    )


def plan_to_measure(search: Run, config: SensitivityConfig) -> GroupingPlan:
    """Return the plan of a measurement.

    Raises
    ------
    BudgetError
        If its method was not searched, or has no plan within its budget.
    """
    method, max_cached_heads = config.point
    return plan_of_run(search, max_cached_heads, method=method)


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
    if not isinstance(measurement.config, SensitivityConfig):
        raise RunError(
            f"{measurement.id} is of kind {measurement.config.kind}",
            expected="a measurement of layers",
        )
    return load_sensitivity(measurement.folder / FOUND)


def found_before(
    run: Run,
    plan: GroupingPlan,
    settings: SensitivitySettings,
    *,
    device: str = "auto",
    dtype: str = "auto",
) -> Run | None:
    """Return the newest measurement that has found what another one would find, or None.

    Parameters
    ----------
    run : Run
        The search.
    plan : GroupingPlan
        Of which a measurement is thought of; another method may have found the same.
    settings, device, dtype
        As in :func:`create_sensitivity`.

    Raises
    ------
    EvaluationError
        If the text is not there.
    """
    settings = _from_anywhere(settings)
    for measurement in sensitivities_of(run):
        config = measurement.config
        if not isinstance(config, SensitivityConfig):
            continue
        if (config.settings, config.device, config.dtype) != (settings, device, dtype):
            continue
        with suppress(RunError):
            if found_of(measurement).plan_digest == plan.digest:
                return measurement
    return None


def _from_anywhere(settings: SensitivitySettings) -> SensitivitySettings:
    """Return the settings with the text's whole path, for a worker that is started elsewhere."""
    if settings.text == "demo":
        return settings
    found = existing_file(settings.text, expected="a file with text", refusal=EvaluationError)
    return replace(settings, text=str(found.resolve()))
