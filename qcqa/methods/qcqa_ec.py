"""QCQA-EC: the paper's search with groups of one size per layer (arXiv 2406.10247, section 3)."""

from pathlib import Path

from qcqa.front import Front
from qcqa.methods.method import Method
from qcqa.search.config import SearchSettings
from qcqa.search.problem import Problem
from qcqa.search.progress import OnProgress


def run(
    problem: Problem, settings: SearchSettings, progress: OnProgress, scratch: Path | None
) -> Front:
    """Return the front of NSGA-II in two stages."""
    # pymoo takes half a second to import: only a search should wait for it.
    from qcqa.search.two_stage import equal_cardinality, two_stage

    return two_stage(
        "qcqa-ec",
        equal_cardinality,
        problem,
        settings,
        on_progress=progress,
        scratch=scratch,
    )


METHOD = Method(
    name="qcqa-ec",
    label="QCQA-EC",
    description="The paper's evolutionary search, groups of one size per layer, layer by layer.",
    needs_search=True,
    run=run,
)
