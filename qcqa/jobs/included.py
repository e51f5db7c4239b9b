"""The run that the dashboard shows first: how it is made again."""

from pathlib import Path

from qcqa.jobs.evaluations import create_evaluation
from qcqa.jobs.run import Run
from qcqa.jobs.store import create_run
from qcqa.measure.benchmark import Benchmark
from qcqa.pick.points import points_along
from qcqa.search.presets import preset_named
from qcqa.search.strategy.config import SearchSettings

#: KV ratios at which all methods of the run were measured, and what was measured.
MEASURED_AT = (0.75, 0.5, 0.375, 0.25, 0.125, 0.0625)
BENCHMARK = Benchmark(text="demo", tasks=("demo_minimal_pairs", "demo_recall"), limit=400)


def create_included_search(folder: Path) -> Run:
    """Make the directory of the demo model's search, ready for a worker.

    Raises
    ------
    RunError
        If ``folder`` exists and holds anything, or cannot be written.
    """
    methods, settings = preset_named("best").asked(SearchSettings(), has_text=True)
    return create_run(
        model="demo",
        name="Demo model",
        methods=methods,
        settings=settings,
        calibration="demo",
        device="cpu",
        folder=folder,
    )


def create_included_evaluation(search: Run) -> Run:
    """Make the evaluation of its methods along the budget, ready for a worker.

    Raises
    ------
    QCQAError
        As :func:`~qcqa.jobs.evaluations.create_evaluation`.
    """
    points = points_along(search.result(), MEASURED_AT)
    # In the checkpoint's own type on every machine, whichever is its fastest.
    return create_evaluation(
        search, points=points, benchmark=BENCHMARK, device="cpu", dtype="bfloat16"
    )
