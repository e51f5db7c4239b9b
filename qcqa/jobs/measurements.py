"""What was measured of a search, one measurement at a time: to list it and to be rid of it."""

from collections.abc import Iterable
from dataclasses import dataclass

from qcqa.errors import EvaluationError, RunError
from qcqa.jobs.evaluations import evaluations_of
from qcqa.jobs.run import Run
from qcqa.measure.benchmark import Benchmark
from qcqa.measure.evaluation import Evaluation, PartName
from qcqa.measure.measured_folder import Forgotten

#: Method and bits per token of a measured model.
Model = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Measured:
    """A text, a task or a load, as some models were put through it.

    Parameters
    ----------
    part : PartName
        Which of these it is.
    benchmark : Benchmark
        With that part alone.
    device, dtype : str
        Where, and in which type, the models ran.
    rows : tuple of Evaluation
        The models' whole rows, which may hold other parts beside.
    """

    part: PartName
    benchmark: Benchmark
    device: str
    dtype: str
    rows: tuple[Evaluation, ...]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of its figures, differences included."""
        named = (
            figure.metric
            for row in self.rows
            for figure in row.measured
            if row.part_of(figure.metric) == self.part
        )
        return tuple(dict.fromkeys(named))


def measurements_of(run: Run) -> list[Measured]:
    """Return what was measured of a search, the measurements of the most models first."""
    found: dict[tuple[PartName, Benchmark, str, str], list[Evaluation]] = {}
    for row in run.measured():
        for part, benchmark in row.parts().items():
            found.setdefault((part, benchmark, row.device, row.dtype), []).append(row)
    every = [Measured(*how, rows=tuple(rows)) for how, rows in found.items()]
    return sorted(every, key=lambda measurement: -len(measurement.rows))


def forget(
    run: Run, measured: Iterable[Measured], *, models: Iterable[Model] | None = None
) -> Forgotten:
    """Delete measurements of a search; those that came with the package are hidden instead.

    Parameters
    ----------
    run : Run
        The search.
    measured : iterable of Measured
        Of :func:`measurements_of`.
    models : iterable of (str, int), optional
        Only the rows of these methods and bits per token.

    Raises
    ------
    RunError
        If an evaluation of the search is at work.
    EvaluationError
        If there is nothing of that kind, or a file cannot be deleted.
    """
    require_nothing_at_work(run)
    going = {
        (measurement.part, measurement.benchmark, measurement.device, measurement.dtype)
        for measurement in measured
    }
    only = None if models is None else set(models)

    def wanted(row: Evaluation) -> list[PartName]:
        if only is not None and (row.method, row.kv_bits) not in only:
            return []
        parts = row.parts().items()
        return [part for part, how in parts if (part, how, row.device, row.dtype) in going]

    done = run.measured_folder.forget(wanted)
    if not done.deleted and not done.hidden:
        raise EvaluationError("no such measurement", remedy=f"qcqa runs show {run.id}")
    return done


def require_nothing_at_work(run: Run) -> None:
    """Refuse while an evaluation of a search is at work: it reads and writes these files.

    Raises
    ------
    RunError
        Which names it.
    """
    busy = next((job for job in evaluations_of(run) if job.is_at_work()), None)
    if busy is not None:
        raise RunError(
            f"the evaluation {busy.id} is at work on these measurements",
            remedy=f"wait until it is done, or: qcqa runs cancel {busy.id}",
        )
