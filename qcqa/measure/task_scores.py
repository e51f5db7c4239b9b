"""What a model reaches on a task of lm-evaluation-harness, sample by sample."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from qcqa.errors import EvaluationError
from qcqa.measure.samples import Samples
from qcqa.measure.samples import Stratum as Sums
from qcqa.measure.statistics import Mean, sample_mean
from qcqa.model.tensor_file import write_tensors
from qcqa.plan.metric import DIFFERENCE, measurement_name
from qcqa.plan.plan import Measurement
from qcqa.reading.file import FileKind
from qcqa.reading.json_file import as_record
from qcqa.reading.safetensors_file import ArraysFile

_FORMAT = "qcqa-task-scores-1"

_FILE = FileKind("scores of tasks", EvaluationError, "measure the source again", most_bytes=None)


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
        if self.digest != source.digest or self._sizes() != source._sizes():
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

    def _sizes(self) -> dict[tuple[str, str], list[int]]:
        """Return how many samples each mean has, stratum by stratum."""
        return {
            name: [len(stratum.values) for stratum in strata] for name, strata in self.means.items()
        }

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
    for task, scored in scores.items():
        means = []
        for (metric, answer_filter), strata in scored.means.items():
            # Names of arrays are numbers, in the order in which they are read again.
            arrays |= {str(len(arrays) + n): part.values for n, part in enumerate(strata)}
            means.append([metric, answer_filter, [part.weight for part in strata]])
        others = [asdict(figure) for figure in scored.others]
        tasks.append({"task": task, "digest": scored.digest, "means": means, "others": others})
    about = {"format": _FORMAT, "tasks": tasks}
    write_tensors(path, arrays, {"qcqa": json.dumps(about)})


@dataclass(frozen=True, slots=True)
class _Task:
    """One task as the metadata of a file name it, beside its arrays."""

    task: str
    digest: str
    means: tuple[tuple[str, str, tuple[float, ...]], ...]
    others: tuple[Measurement, ...]


_TASKS = TypeAdapter(tuple[_Task, ...])


def load_task_scores(path: Path) -> dict[str, TaskScores]:
    """Read what :func:`save_task_scores` wrote.

    Raises
    ------
    EvaluationError
        If the file is missing, damaged or something else.
    """
    file = ArraysFile(path, _FILE)
    about = file.about()
    if about.get("format") != _FORMAT:
        raise _FILE.damaged(path, f"its format is not {_FORMAT}")
    # Arrays are numbered in the order in which they were written.
    numbers = count()

    def strata(weights: Sequence[float]) -> Strata:
        return tuple(
            Stratum(weight, file.array(str(next(numbers)), np.float64, (None,)))
            for weight in weights
        )

    return {
        entry.task: TaskScores(
            entry.task,
            entry.digest,
            {(metric, of): strata(weights) for metric, of, weights in entry.means},
            entry.others,
        )
        for entry in as_record(about.get("tasks"), _TASKS, path, _FILE)
    }


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
        Stratum(stratum.weight, stratum.values - other.values)
        for stratum, other in zip(strata, others, strict=True)
    )


def as_numbers(values: list[Any]) -> NDArray[np.float64] | None:
    """Return per-sample values as an array, or None where they are no plain numbers."""
    if all(isinstance(value, (bool, int, float, np.number, np.bool_)) for value in values):
        return np.array(values, dtype=np.float64)
    return None
