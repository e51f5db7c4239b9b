"""What an evaluation needs of a model and a benchmark, asked before weights are read."""

from collections.abc import Sequence

from qcqa.measure.benchmark import Benchmark
from qcqa.measure.parts import Part, parts_of
from qcqa.measure.plan_models import SOURCE, PlanModels
from qcqa.measure.speed import require_context
from qcqa.measure.texts_apart import refuse_calibration_text
from qcqa.plan.plan import Plan
from qcqa.text.fitted import FittedFolder


def require_evaluable(
    model: str,
    plans: Sequence[Plan],
    benchmark: Benchmark,
    *,
    revision: str | None = None,
    fitted: FittedFolder | None = None,
) -> int:
    """Refuse, before weights are read, what an evaluation could not bring to an end.

    Parameters
    ----------
    model, plans, benchmark, revision, fitted
        As in :func:`~qcqa.measure.evaluate.evaluate_plans`.

    Returns
    -------
    int
        Tokens of the text that every model reads.

    Raises
    ------
    QCQAError
        If the model cannot be opened or is no language model, the text has too few tokens or such
        as it does not know, the load is beyond its context, or a plan's calibration text is gone.
    """
    refuse_calibration_text(plans, benchmark)
    models = PlanModels.to_look_at(model, revision=revision, fitted=fitted)
    tokens = require_readable(models, benchmark, list(parts_of(benchmark)))
    models.require_texts(plans)
    return tokens


def require_readable(models: PlanModels, benchmark: Benchmark, parts: Sequence[Part]) -> int:
    """Return how many tokens of the text a model reads."""
    tokens = sum(part.require_readable(models.config, models.tokenizer) for part in parts)
    if benchmark.speed:
        require_context(models.config, benchmark.speed, name=SOURCE)
    return tokens
