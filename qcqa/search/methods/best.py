"""Best: what loses least, by all that this project can do without training."""

from pathlib import Path
from types import MappingProxyType

from qcqa.search.front import Front
from qcqa.search.methods.method import Method
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.optimal import optimal_front
from qcqa.search.strategy.problem import Problem
from qcqa.search.strategy.progress import OnProgress


def run(
    problem: Problem, settings: SearchSettings, progress: OnProgress, scratch: Path | None
) -> Front:
    """Return the front of the optimal search with this method's settings."""
    return optimal_front("best", problem, settings, on_progress=progress, scratch=scratch)


METHOD = Method(
    name="best",
    label="Best",
    description="Keys and values grouped apart by measured loss, merged as subspaces and refitted.",
    needs_search=True,
    run=run,
    insists=MappingProxyType(
        {"fitness": "loss", "stage2_fitness": None, "apart": True, "merge": "svd", "refit": True}
    ),
)
