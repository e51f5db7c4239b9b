"""MHA: the source as it is."""

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
    """Return the one plan in which no heads share."""
    return block_front("mha", problem, settings, [problem.spec.num_kv_heads], progress)


METHOD = Method(
    name="mha",
    label="MHA",
    description="Multi-head attention: the source's heads as they are.",
    needs_search=False,
    run=run,
    insists=TOGETHER,
)
