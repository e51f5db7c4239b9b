"""How long an evaluation takes, from those that were made before."""

from datetime import datetime

from qcqa.evaluated import Benchmark
from qcqa.runs.config import EvaluationConfig
from qcqa.runs.evaluations import evaluations_of
from qcqa.runs.run import Run
from ui.device import probable_device


def seconds_per_model(run: Run, benchmark: Benchmark, device: str) -> float | None:
    """Return the time that a model took in finished evaluations by the same benchmark, or None.

    The longest of them: some models of an evaluation may have been measured before.
    """
    times = []
    for evaluation in evaluations_of(run):
        config, status = evaluation.config, evaluation.status()
        if not isinstance(config, EvaluationConfig) or status.state != "finished":
            continue
        if config.benchmark != benchmark or not config.may_run_on(probable_device(device)):
            continue
        if status.started and status.finished:
            taken = datetime.fromisoformat(status.finished) - datetime.fromisoformat(status.started)
            times.append(taken.total_seconds() / (1 + len(config.points)))
    return max(times, default=None)
