"""What a model reaches on a task of lm-evaluation-harness, sample by sample."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from qcqa.errors import EvaluationError
from qcqa.measure.samples import Samples
from qcqa.measure.samples import Stratum as Sums
from qcqa.measure.statistics import Mean, sample_mean
from qcqa.model.tensor_file import write_tensors
from qcqa.plan.metric import DIFFERENCE, measurement_name
from qcqa.plan.plan import Measurement

_FORMAT = "qcqa-task-scores-1"


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

    def samples(self) -> tuple[Samples, ...]:
        """Return the sums by which two models can be compared; of figures that are means."""
        return tuple(
            Samples(
                figure_name(self.task, metric, answer_filter),
                self.digest,
                tuple(
                    Sums.of(part.values, np.arange(len(part.values)), weight=part.weight)
                    for part in strata
                ),
            )
            for (metric, answer_filter), strata in self.means.items()
        )


def save_task_scores(scores: Mapping[str, TaskScores], path: Path) -> None:
    """Write scores of some tasks as safetensors, so that a source need be measured only once."""
    arrays: dict[str, NDArray[np.float64]] = {}
    tasks = []
    for task, one in scores.items():
        means = []
        for (metric, answer_filter), strata in one.means.items():
            # Names of arrays are numbers, in the order in which they are read again.
            arrays |= {str(len(arrays) + n): part.values for n, part in enumerate(strata)}
            means.append([metric, answer_filter, [part.weight for part in strata]])
        others = [asdict(figure) for figure in one.others]
        tasks.append({"task": task, "digest": one.digest, "means": means, "others": others})
    about = {"format": _FORMAT, "tasks": tasks}
    write_tensors(path, arrays, {"qcqa": json.dumps(about)})


def load_task_scores(path: Path) -> dict[str, TaskScores]:
    """Read what :func:`save_task_scores` wrote.

    Raises
    ------
    EvaluationError
        If the file is missing, damaged or something else.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            about = json.loads((file.metadata() or {}).get("qcqa", "{}"))
            if about.get("format") != _FORMAT:
                raise ValueError(f"its format is not {_FORMAT}")
            arrays = iter([file.get_tensor(str(n)) for n in range(len(file.keys()))])
        return {one["task"]: _scores_from_json(one, arrays) for one in about["tasks"]}
    except (OSError, ValueError, KeyError, TypeError, StopIteration, SafetensorError) as error:
        raise EvaluationError(f"{path} cannot be read as scores of tasks ({error})") from error


def _scores_from_json(
    content: Mapping[str, Any], arrays: Iterator[NDArray[np.float64]]
) -> TaskScores:
    means = {
        (metric, answer_filter): tuple([Stratum(weight, next(arrays)) for weight in weights])
        for metric, answer_filter, weights in content["means"]
    }
    others = tuple(Measurement(**figure) for figure in content["others"])
    return TaskScores(content["task"], content["digest"], means, others)


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
