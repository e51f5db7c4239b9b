"""QCQA-EC: the paper's search with groups of one size per layer (arXiv 2406.10247, section 3)."""

from functools import partial
from pathlib import Path

from qcqa.search.front import Front
from qcqa.search.methods.method import BY_WEIGHTS_ALONE, Method
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.problem import Problem
from qcqa.search.strategy.progress import OnProgress


def run(
    name: str,
    problem: Problem,
    settings: SearchSettings,
    progress: OnProgress,
    scratch: Path | None,
) -> Front:
    """Return the front of NSGA-II in two stages."""
    # pymoo takes half a second to import: only a search should wait for it.
    from qcqa.search.strategy.two_stage import equal_cardinality, two_stage

    return two_stage(
        name,
        equal_cardinality,
        problem,
        settings,
        on_progress=progress,
        scratch=scratch,
    )


METHOD = Method(
    name="qcqa-ec",
    label="QCQA-EC",
    description="The paper's evolutionary search: groups of one size per layer, and layers by what "
    "the model was measured to lose.",
    needs_search=True,
    run=partial(run, "qcqa-ec"),
)

BY_WEIGHTS = Method(
    name="qcqa-ec-wse",
    label="QCQA-EC by WSE",
    description="QCQA-EC where only weights are at hand: WSE alone decides over layers, too.",
    needs_search=True,
    run=partial(run, "qcqa-ec-wse"),
    insists=BY_WEIGHTS_ALONE,
)
