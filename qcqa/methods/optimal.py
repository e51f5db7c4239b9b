"""The optimal front: the best grouping known for every group count, then exact allocation."""

from pathlib import Path

import numpy as np

from qcqa.front import Front, LayerCandidates
from qcqa.gram import ModelGrams
from qcqa.methods.method import Method
from qcqa.search.config import SearchSettings
from qcqa.search.fronts import best_front
from qcqa.search.layers import search_layers
from qcqa.search.optimal import optimal_candidates, optimal_seconds
from qcqa.search.pareto import hypervolume
from qcqa.search.progress import OnProgress, Progress


def run(
    grams: ModelGrams, settings: SearchSettings, progress: OnProgress, scratch: Path | None
) -> Front:
    """Return the front; proven optimal where every layer can be solved exactly."""
    totals = [layer.total for layer in grams]

    def on_layer(layer: int, candidates: LayerCandidates, finished: int) -> None:
        volume = hypervolume(
            candidates.cost,
            candidates.error,
            max_cost=2 * len(totals[layer]),
            max_error=float(np.trace(totals[layer])),
        )
        progress(
            Progress(
                stage="stage 1",
                step=finished,
                total=len(totals),
                fraction=finished / len(totals),
                layer=layer,
                hypervolume=volume,
            )
        )

    layers = search_layers(
        optimal_candidates,
        totals,
        settings,
        seconds_per_layer=optimal_seconds(grams.spec.num_kv_heads, settings),
        on_layer=on_layer,
        scratch=scratch,
    )
    return best_front("optimal", layers)


METHOD = Method(
    name="optimal",
    label="Optimal",
    description="The best grouping known for every group count, spread exactly over the layers.",
    needs_search=True,
    run=run,
)
