"""Measure the models that plans make of their source, beside the source itself."""

from collections.abc import Callable, Sequence
from pathlib import Path

from qcqa.measure.bench import Bench
from qcqa.measure.benchmark import Benchmark
from qcqa.measure.evaluation import Evaluation
from qcqa.measure.measured_folder import MeasuredFolder
from qcqa.measure.plan_models import models_of
from qcqa.measure.texts_apart import refuse_calibration_text
from qcqa.plan.plan import Plan
from qcqa.progress import OnProgress
from qcqa.text.fitted import FittedFolder

OnRow = Callable[[Evaluation], None]


def evaluate_plans(
    model: str,
    plans: Sequence[Plan],
    benchmark: Benchmark,
    *,
    revision: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    folder: MeasuredFolder | None = None,
    calibrations: Path | None = None,
    fitted: FittedFolder | None = None,
    on_progress: OnProgress | None = None,
    on_row: OnRow | None = None,
) -> list[Evaluation]:
    """Measure a source model and the models that plans make of it.

    The source is read once. A plan's model shares all of its weights but the attention's, so that
    memory holds one model and one more attention.

    Parameters
    ----------
    model : str
        Local folder, Hub id, or ``demo``.
    plans : sequence of Plan
        Made for this model; those that make the same model of it are measured once.
    benchmark : Benchmark
        What is measured.
    revision : str, optional
        Branch, tag or commit on the Hub.
    device, dtype : str
        Where, and in which type, the models run: ``auto``, ``cpu``, ``cuda`` …; ``auto``,
        ``float32`` …
    folder : MeasuredFolder, optional
        Where figures are kept as they come, and the source's scores; what was measured there by
        the same benchmark is not measured again.
    calibrations : Path, optional
        Where the calibration that plans rest on is looked for, and kept; it is made again from
        its text where it is missing.
    fitted : FittedFolder, optional
        Where the attention of plans is kept that were merged or refitted by a calibration.
    on_progress : callable, optional
        Called often; raising from it ends the evaluation, and what was measured is kept.
    on_row : callable, optional
        Called with each row of the result as soon as it is there.

    Returns
    -------
    list of Evaluation
        The source, then the plans in their order.

    Raises
    ------
    EvaluationError
        If the benchmark's data cannot be used or are what a plan was calibrated on, or a live KV
        cache is not of the promised size.
    QCQAError
        If the model or a plan cannot be used.
    """
    refuse_calibration_text(plans, benchmark)
    with models_of(
        model,
        plans,
        revision=revision,
        device=device,
        dtype=dtype,
        calibrations=calibrations,
        fitted=fitted,
    ) as models:
        if folder:
            folder.make()
        bench = Bench(models, benchmark, folder, 1 + len(plans), on_progress)
        rows = []
        for row in bench.rows(plans):
            rows.append(row)
            if on_row:
                on_row(row)
    return rows
