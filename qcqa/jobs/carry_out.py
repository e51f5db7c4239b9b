"""What each kind of run does, once a worker has it."""

import os
from dataclasses import replace
from pathlib import Path

from qcqa.jobs.config import (
    ConversionConfig,
    EvaluationConfig,
    GenerationConfig,
    SearchConfig,
    SensitivityConfig,
)
from qcqa.jobs.conversions import CONVERTED
from qcqa.jobs.generations import plans_side_by_side
from qcqa.jobs.jobs import search_of
from qcqa.jobs.outcomes import save_outcome
from qcqa.jobs.plans import plan_at
from qcqa.jobs.run import Run
from qcqa.jobs.sensitivities import FOUND, SCORES
from qcqa.model.dtype import AUTO_DTYPE
from qcqa.pick.points import plans_of_points
from qcqa.progress import OnProgress
from qcqa.search.method_sets import with_baselines
from qcqa.search.methods import wants_calibration
from qcqa.search.search import Calibrated, search_model


def carry_out(run: Run, on_progress: OnProgress) -> None:
    """Do what a run was asked, from where an earlier worker left it.

    Parameters
    ----------
    run : Run
        Held by this process alone.
    on_progress : callable
        Called often; what it raises ends the run.

    Raises
    ------
    QCQAError
        If the run failed for a reason that the user can mend.
    """
    # The bars of the libraries that load models and tasks would fill log.txt.
    os.environ.setdefault("TQDM_DISABLE", "1")
    match run.config:
        case SearchConfig():
            _search(run, run.config, on_progress)
        case EvaluationConfig():
            _evaluate(run, run.config, on_progress)
        case ConversionConfig():
            _convert(run, run.config, on_progress)
        case GenerationConfig():
            _generate(run, run.config, on_progress)
        case SensitivityConfig():
            _measure_layers(run, run.config, on_progress)


def _search(run: Run, config: SearchConfig, on_progress: OnProgress) -> None:
    search_model(
        config.model,
        revision=config.revision,
        methods=config.methods,
        settings=config.settings,
        folder=run.folder,
        on_progress=on_progress,
        calibrated=_calibrated(run, config),
    )


def _calibrated(run: Run, config: SearchConfig) -> Calibrated | None:
    if config.calibration is None or not wants_calibration(
        with_baselines(config.methods), config.settings
    ):
        return None
    # Here, because it loads torch: a search of the weights alone does without.
    from qcqa.search.calibrated_model import CalibratedModel

    return CalibratedModel(
        config.model,
        config.calibration,
        run.calibration_folder,
        revision=config.revision,
        device=config.device,
    )


def _evaluate(run: Run, config: EvaluationConfig, on_progress: OnProgress) -> None:
    # Here, because it loads torch: a search does without.
    from qcqa.measure.evaluate import evaluate_plans

    search = search_of(run)
    evaluate_plans(
        search.search.model,
        plans_of_points(search.result(), config.points),
        config.benchmark,
        revision=search.search.revision,
        device=config.device,
        dtype=_dtype(search, config),
        folder=search.measured_folder,
        calibrations=search.calibration_folder,
        fitted=search.fitted_folder,
        on_progress=on_progress,
    )


def _dtype(search: Run, config: EvaluationConfig | GenerationConfig) -> str:
    """Return the type that was chosen when the job was made, wherever it goes on."""
    return search.result().spec.dtype if config.dtype == AUTO_DTYPE else config.dtype


def _generate(run: Run, config: GenerationConfig, on_progress: OnProgress) -> None:
    # Here, because it loads torch: a search does without.
    from qcqa.measure.generate_by_plans import generate_side_by_side

    search = search_of(run)
    generate_side_by_side(
        search.search.model,
        plans_side_by_side(search.result(), config.points),
        config.settings,
        revision=search.search.revision,
        device=config.device,
        dtype=_dtype(search, config),
        calibrations=search.calibration_folder,
        fitted=search.fitted_folder,
        on_progress=on_progress,
    )


def _measure_layers(run: Run, config: SensitivityConfig, on_progress: OnProgress) -> None:
    # Here, because it loads torch: a search does without.
    from qcqa.measure.measure_layers import layer_sensitivity

    search = search_of(run)
    found = layer_sensitivity(
        search.search.model,
        plan_at(search, config.point),
        config.settings,
        revision=search.search.revision,
        device=config.device,
        dtype=config.dtype,
        calibrations=search.calibration_folder,
        fitted=search.fitted_folder,
        kept=run.folder / SCORES,
        on_progress=on_progress,
    )
    save_outcome(found, run.folder / FOUND)
    (run.folder / SCORES).unlink(missing_ok=True)


def _convert(run: Run, config: ConversionConfig, on_progress: OnProgress) -> None:
    # Here, because it loads torch: a search does without.
    from qcqa.export.convert import convert_and_measure

    search = search_of(run)
    plan = plan_at(search, config.point)
    converted = convert_and_measure(
        search.search.model,
        replace(plan, provenance={**plan.provenance, **config.origin}),
        Path(config.folder),
        calibrations=search.calibration_folder,
        fitted=search.fitted_folder,
        revision=search.search.revision,
        on_progress=on_progress,
    )
    save_outcome(converted, run.folder / CONVERTED)
