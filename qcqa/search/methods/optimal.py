"""The optimal front: the best grouping known for every group count, then exact allocation."""

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
    """Return the front; proven optimal where every layer can be solved exactly."""
    return optimal_front("optimal", problem, settings, on_progress=progress, scratch=scratch)


METHOD = Method(
    name="optimal",
    label="Optimal",
    description="The best grouping known for every group count, spread exactly over the layers.",
    needs_search=True,
    run=run,
    # It has no second stage: its layers are allocated exactly.
    insists=MappingProxyType({"stage2_fitness": None}),
)
