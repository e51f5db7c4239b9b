"""Evaluations of a search's plans: runs inside its directory."""

from dataclasses import replace
from importlib.util import find_spec

from qcqa.errors import EvaluationError
from qcqa.jobs.clock import utc_now
from qcqa.jobs.config import EvaluationConfig
from qcqa.jobs.jobs import jobs_of, search_of
from qcqa.jobs.measuring import dtype_of_job, estimated_evaluation, torch_device, whole_path
from qcqa.jobs.new import write_new_job
from qcqa.jobs.run import Run
from qcqa.measure.benchmark import INSTALL_HARNESS, Benchmark
from qcqa.measure.estimate import MeasureEstimate
from qcqa.measure.evaluation import Evaluation
from qcqa.model.inspect import inspect_model
from qcqa.pick.points import Points, plans_of_points
from qcqa.plan.plan import Plan


def create_evaluation(
    run: Run,
    *,
    points: Points,
    benchmark: Benchmark,
    device: str = "auto",
    dtype: str = "auto",
) -> Run:
    """Make an evaluation of a search, ready for a worker.

    Parameters and errors are those of :func:`evaluation_before_start`.
    """
    config, estimate = evaluation_before_start(
        run, points=points, benchmark=benchmark, device=device, dtype=dtype
    )
    return write_new_job(
        run, config.model_copy(update={"expected_seconds": round(estimate.seconds, 3)})
    )


def evaluation_before_start(
    run: Run,
    *,
    points: Points,
    benchmark: Benchmark,
    device: str = "auto",
    dtype: str = "auto",
) -> tuple[EvaluationConfig, MeasureEstimate]:
    """Return what an evaluation of a search is asked, and what it takes by counting operations.

    Nothing is written.

    Parameters
    ----------
    run : Run
        The search, with a result.
    points, benchmark, device, dtype
        As in :class:`EvaluationConfig`; see :mod:`qcqa.pick.points` for points.

    Raises
    ------
    QCQAError
        If there is no plan at a point, the benchmark's files or packages are missing, its text is
        what the plans were calibrated on, or the run's directory cannot be written.
    """
    if not points:
        raise EvaluationError(
            "no plan to measure", expected="at least one method with a plan within the budget"
        )
    plans = plans_of_points(run.result(), points)
    config = EvaluationConfig(
        name="1 plan" if len(plans) == 1 else f"{len(plans)} plans",
        created=utc_now(),
        points=points,
        benchmark=_from_anywhere(benchmark),
        device=device,
        dtype=dtype_of_job(run, dtype, device=device),
    )
    tokens = require_possible(run, config)
    estimate = estimated_evaluation(
        run,
        inspect_model(run.search.model, revision=run.search.revision),
        plans_to_measure(run, config),
        config.benchmark,
        has_source=not any(row.is_source for row in _rows_of(run, config)),
        tokens=tokens,
        device=torch_device(device),
        dtype=dtype,
    )
    return config, estimate


def require_possible(run: Run, config: EvaluationConfig) -> int:
    """Refuse an evaluation that cannot come to an end; loads no weights.

    Returns
    -------
    int
        Tokens of the text that every model reads.

    Raises
    ------
    QCQAError
        If a plan, the model, or a text is not there, or cannot be used.
    """
    # Here, because it loads torch, as the worker will.
    from qcqa.measure.evaluable import require_evaluable

    return require_evaluable(
        run.search.model,
        plans_to_measure(run, config),
        config.benchmark,
        revision=run.search.revision,
        fitted=run.fitted_folder,
    )


def plans_to_measure(search: Run, config: EvaluationConfig) -> list[Plan]:
    """Return the plans of an evaluation that were not measured in this way before."""
    plans = plans_of_points(search.result(), config.points)
    measured = {
        (row.method, row.plan_digest) for row in _rows_of(search, config) if row.is_comparable
    }
    return [plan for plan in plans if (plan.method, plan.digest) not in measured]


def _rows_of(search: Run, config: EvaluationConfig) -> list[Evaluation]:
    """Return what was measured in the same way."""
    how = (config.benchmark, config.dtype)
    return [
        row
        for row in search.measured()
        if (row.benchmark, row.dtype) == how and config.may_run_on(row.device)
    ]


def require_harness(benchmark: Benchmark) -> None:
    """Check that the package is there which the tasks of a benchmark need.

    Raises
    ------
    EvaluationError
        Which says how it is installed.
    """
    if benchmark.tasks and find_spec("lm_eval") is None:
        raise EvaluationError(
            "tasks need lm-evaluation-harness, and lm_eval is not installed",
            remedy=INSTALL_HARNESS,
        )


def evaluations_of(run: Run) -> list[Run]:
    """Return the evaluations of a search, newest first; damaged ones are left out."""
    return jobs_of(run, "evaluation")


def figures_of(evaluation: Run) -> tuple[Evaluation, ...]:
    """Return what an evaluation has measured so far, or an earlier one by the same benchmark.

    Raises
    ------
    RunError
        If the run is no evaluation, or its search cannot be opened.
    """
    config = evaluation.asked(EvaluationConfig, "an evaluation")
    search = search_of(evaluation)
    plans = plans_of_points(search.result(), config.points)
    wanted = {("mha", ""), *((plan.method, plan.digest) for plan in plans)}
    return tuple(row for row in _rows_of(search, config) if (row.method, row.plan_digest) in wanted)


def _from_anywhere(benchmark: Benchmark) -> Benchmark:
    """Return the benchmark with whole paths, so that a worker started elsewhere finds its files.

    Raises
    ------
    EvaluationError
        If a file, or the package that tasks need, is missing.
    """
    require_harness(benchmark)
    text = benchmark.text
    return replace(
        benchmark,
        text=None if text is None else whole_path(text),
        tasks=tuple(
            whole_path(task) if task.endswith((".yaml", ".yml")) else task
            for task in benchmark.tasks
        ),
    )
