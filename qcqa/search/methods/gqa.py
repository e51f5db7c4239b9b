"""GQA: blocks of neighbouring heads, as many in every layer (arXiv 2305.13245)."""

from pathlib import Path

from qcqa.search.front import Front
from qcqa.search.methods.blocks import TOGETHER, block_front
from qcqa.search.methods.method import Method
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.encodings import divisors
from qcqa.search.strategy.problem import Problem
from qcqa.search.strategy.progress import OnProgress


def run(
    problem: Problem, settings: SearchSettings, progress: OnProgress, _scratch: Path | None
) -> Front:
    """Return a plan for every divisor of the number of heads, MQA and MHA included."""
    return block_front("gqa", problem, settings, divisors(problem.spec.num_kv_heads), progress)


METHOD = Method(
    name="gqa",
    label="GQA",
    description="Grouped-query attention: equal blocks of neighbouring heads, alike in all layers.",
    needs_search=False,
    run=run,
    insists=TOGETHER,
)
