"""Runs of large models that nobody has to search for: fronts of all methods on made-up heads."""

from dataclasses import replace

from search_speed import synthetic_grams

from qcqa.jobs.run import Run
from qcqa.jobs.status import RunStatus
from qcqa.jobs.store import create_run
from qcqa.search.methods import run_method
from qcqa.search.result import ResultFolder
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.optimal import lower_bound
from qcqa.search.strategy.options import ExactOptions, TwoStageOptions
from qcqa.search.strategy.problem import wse_problem

_METHODS = ("mha", "gqa", "mqa", "optimal", "qcqa-ac", "qcqa-ec")


def made_up_run(num_layers: int, num_heads: int) -> Run:
    """Leave a finished run in the home of runs, every method searched briefly.

    The plans of its ``best`` group keys and values apart, as that method's do.
    """
    settings = SearchSettings(
        two_stage=TwoStageOptions(generations=5, stage2_generations=20),
        exact=ExactOptions(restarts=0),
        workers=1,
    )
    problem = wse_problem(synthetic_grams(num_layers, num_heads))
    name = f"{num_layers} x {num_heads}"
    run = create_run(model="demo", name=name, methods=("optimal",), settings=settings)
    kept = ResultFolder(run.folder)
    kept.save_grams(problem.grams)
    kept.save_bound(lower_bound(problem, settings))
    for method in _METHODS:
        kept.save_front(run_method(method, problem, settings))
    apart = run_method("optimal", problem, settings.model_copy(update={"apart": True}))
    kept.save_front(replace(apart, method="best"))
    run.write_status(RunStatus(state="finished", fraction=1.0, step=1, total=1, stage="done"))
    return run
