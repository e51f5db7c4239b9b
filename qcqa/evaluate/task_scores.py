"""What a model reaches on a task of lm-evaluation-harness, sample by sample."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcqa.errors import EvaluationError
from qcqa.evaluate.metric import DIFFERENCE, measurement_name
from qcqa.evaluate.statistics import Mean, sample_mean
from qcqa.plan import Measurement


@dataclass(frozen=True, slots=True, eq=False)
class Stratum:
    """Samples of one task, and what they count for in the figure.

    Parameters
    ----------
    weight : float
        Share of this task's mean in the whole; 1 for a task on its own.
    values : ndarray, shape (samples,)
        The metric of each sample, in the order of the data.
    """

    weight: float
    values: NDArray[np.float64]


#: A figure that is a mean over samples: of one task, or of the tasks of a group.
Strata = tuple[Stratum, ...]


@dataclass(frozen=True, slots=True, eq=False)
class TaskScores:
    """Scores of one model on one task or group of tasks.

    Parameters
    ----------
    task : str
        Its name.
    digest : str
        Hash of the samples' content. Two models with the same answered the same questions.
    means : mapping of (str, str) to Strata
        Samples of each figure that is a mean, by metric and filter.
    others : tuple of Measurement
        Figures that are no means, such as BLEU.
    """

    task: str
    digest: str
    means: Mapping[tuple[str, str], Strata]
    others: tuple[Measurement, ...] = ()

    def measurements(self) -> tuple[Measurement, ...]:
        """Return every figure; sample counts are questions."""
        means = [
            _measurement(self.task, metric, answer_filter, _stratified_mean(strata))
            for (metric, answer_filter), strata in self.means.items()
        ]
        return (*means, *self.others)

    def compared_with(self, source: "TaskScores") -> tuple[Measurement, ...]:
        """Return how far this model is from its source, question by question.

        Parameters
        ----------
        source : TaskScores
            Of the source model, on the same task.

        Raises
        ------
        EvaluationError
            If the two answered different questions.
        """
        if self.digest != source.digest or self.means.keys() != source.means.keys():
            raise EvaluationError(
                f"scores of {self.task} beside scores of {source.task}",
                expected="the same task with the same questions",
                remedy="evaluate both models with the same settings",
            )
        return tuple(
            _measurement(
                self.task,
                metric + DIFFERENCE,
                answer_filter,
                _stratified_mean(_minus(strata, source.means[metric, answer_filter])),
            )
            for (metric, answer_filter), strata in self.means.items()
        )


def figure_name(task: str, metric: str, answer_filter: str) -> str:
    """Return a measurement's name; the harness calls the filter that does nothing ``none``."""
    data = task if answer_filter == "none" else f"{task} ({answer_filter})"
    return measurement_name(data, metric)


def _measurement(task: str, metric: str, answer_filter: str, mean: Mean) -> Measurement:
    name = figure_name(task, metric, answer_filter)
    return Measurement(name, mean.value, mean.standard_error, mean.sample_count)


def _stratified_mean(strata: Strata) -> Mean:
    means = [sample_mean(stratum.values) for stratum in strata]
    weights = [stratum.weight for stratum in strata]
    value = sum(weight * mean.value for weight, mean in zip(weights, means, strict=True))
    errors = [mean.standard_error for mean in means if mean.standard_error is not None]
    error = None
    if len(errors) == len(means):
        error = float(np.hypot.reduce([w * e for w, e in zip(weights, errors, strict=True)]))
    return Mean(value, error, sum(mean.sample_count for mean in means))


def _minus(strata: Strata, others: Strata) -> Strata:
    return tuple(
        Stratum(one.weight, one.values - other.values)
        for one, other in zip(strata, others, strict=True)
    )


def as_numbers(values: list[Any]) -> NDArray[np.float64] | None:
    """Return per-sample values as an array, or None where they are no plain numbers."""
    if all(isinstance(value, (bool, int, float, np.number, np.bool_)) for value in values):
        return np.array(values, dtype=np.float64)
    return None
