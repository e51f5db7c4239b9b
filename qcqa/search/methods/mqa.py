"""MQA: one shared head per layer (arXiv 1911.02150)."""

from pathlib import Path

from qcqa.search.front import Front
from qcqa.search.methods.blocks import TOGETHER, block_front
from qcqa.search.methods.method import Method
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.problem import Problem
from qcqa.search.strategy.progress import OnProgress


def run(
    problem: Problem, settings: SearchSettings, progress: OnProgress, _scratch: Path | None
) -> Front:
    """Return the one plan in which all heads of a layer share."""
    return block_front("mqa", problem, settings, [1], progress)


METHOD = Method(
    name="mqa",
    label="MQA",
    description="Multi-query attention: all heads of a layer share one.",
    needs_search=False,
    run=run,
    insists=TOGETHER,
)
