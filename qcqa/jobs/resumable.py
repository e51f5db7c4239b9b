"""Whether a run that stopped early can go on: what it reads may be gone by now."""

from pathlib import Path

from qcqa.errors import EvaluationError, RunError
from qcqa.files.user_path import existing_file
from qcqa.jobs import conversions, evaluations, generations, sensitivities
from qcqa.jobs.config import (
    ConversionConfig,
    EvaluationConfig,
    GenerationConfig,
    SearchConfig,
    SensitivityConfig,
)
from qcqa.jobs.jobs import search_of
from qcqa.jobs.plans import plan_at
from qcqa.jobs.run import Run
from qcqa.model.inspect import inspect_model
from qcqa.search.method_sets import calibration_of, require_calibration, with_baselines
from qcqa.search.methods import wants_calibration
from qcqa.search.result import ResultFolder
from qcqa.text.texts_there import require_text_there


def require_resumable(run: Run) -> None:
    """Refuse to go on with a run that could only fail; reads its texts, but no weights.

    Raises
    ------
    RunError
        If it is at work, finished, damaged, or came with the package.
    QCQAError
        If its model, a text or a plan is gone, or is refused by now.
    """
    require_all_there(run)
    match run.config:
        case SearchConfig() as config:
            if config.calibration is not None:
                require_calibration(
                    config.model,
                    config.calibration,
                    methods=config.methods,
                    settings=config.settings,
                    revision=config.revision,
                )
        case EvaluationConfig() as config:
            evaluations.require_possible(search_of(run), config)
        case ConversionConfig() as config:
            conversions.require_possible(search_of(run), config)
        case GenerationConfig() as config:
            generations.require_possible(search_of(run), config)
        case SensitivityConfig() as config:
            sensitivities.require_possible(search_of(run), config)


def require_all_there(run: Run) -> None:
    """Refuse to go on with a run whose files are not all there: a quick look, without texts.

    Raises
    ------
    QCQAError
        As :func:`require_resumable`.
    """
    state = run.status().state
    if run.bundled or run.is_at_work() or state == "finished":
        raise RunError(
            f"{run.id} is {state}", expected="a run that was cancelled, failed or whose worker died"
        )
    match run.config:
        case SearchConfig() as config:
            _require_search(run, config)
        case EvaluationConfig() as config:
            search = search_of(run)
            _require_model(search.search.model)
            for plan in evaluations.plans_to_measure(search, config):
                require_text_there(plan, search.fitted_folder)
            _require_files(config)
        case ConversionConfig() as config:
            conversions.preflight_of(search_of(run), config)
        case GenerationConfig() as config:
            search = search_of(run)
            _require_model(search.search.model)
            for plan in generations.plans_side_by_side(search.result(), config.points):
                require_text_there(plan, search.fitted_folder)
        case SensitivityConfig() as config:
            search = search_of(run)
            _require_model(search.search.model)
            require_text_there(plan_at(search, config.point), search.fitted_folder)
            _require_text(config.settings.text)


def _require_search(run: Run, config: SearchConfig) -> None:
    with_text = wants_calibration(with_baselines(config.methods), config.settings)
    if with_text:
        calibration_of(
            config.model,
            config.calibration,
            methods=with_baselines(config.methods),
            settings=config.settings,
        )
    # What was read of the weights is kept, and is all that a search without a text needs.
    if with_text or ResultFolder(run.folder).grams() is None:
        _require_model(config.model)


def _require_model(model: str) -> None:
    """Refuse a model that is gone; the Hub is not asked."""
    if model == "demo" or Path(model).is_absolute():
        inspect_model(model)


def _require_files(config: EvaluationConfig) -> None:
    benchmark = config.benchmark
    files = [task for task in benchmark.tasks if task.endswith((".yaml", ".yml"))]
    for file in (benchmark.text, *files):
        _require_text(file)


def _require_text(file: str | None) -> None:
    if file not in (None, "demo"):
        existing_file(str(file), expected="what is to be measured on", refusal=EvaluationError)
