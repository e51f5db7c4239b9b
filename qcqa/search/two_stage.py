"""The paper's search (arXiv 2406.10247, section 3): NSGA-II per layer, then NSGA-II over layers."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qcqa.front import Front, LayerCandidates
from qcqa.gram import ModelGrams
from qcqa.search.config import SearchSettings
from qcqa.search.encodings import BlockGenes, ChoiceGenes, LabelGenes
from qcqa.search.fronts import front_of
from qcqa.search.layers import LayerSearch, layer_rng, search_layers
from qcqa.search.nsga2 import Archive, nsga2
from qcqa.search.pareto import hypervolume, nondominated
from qcqa.search.progress import OnProgress, Progress
from qcqa.wse import population_wse

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Generations between two reports of stage 2.
_REPORT_EVERY = 10
#: Measured, for guesses only: a generation costs so much per candidate in either stage.
_SECONDS_PER_CANDIDATE = 6e-5


def arbitrary_cardinality(
    gram: FloatArray, settings: SearchSettings, layer: int
) -> LayerCandidates:
    """Return one layer's candidates for QCQA-AC; pure and picklable."""
    return _stage_one(LabelGenes(len(gram)), gram, settings, layer)


def equal_cardinality(gram: FloatArray, settings: SearchSettings, layer: int) -> LayerCandidates:
    """Return one layer's candidates for QCQA-EC; pure and picklable."""
    return _stage_one(BlockGenes(len(gram)), gram, settings, layer)


def two_stage(
    method: str,
    search: LayerSearch,
    grams: ModelGrams,
    settings: SearchSettings,
    *,
    on_progress: OnProgress,
    scratch: Path | None,
) -> Front:
    """Return the front of the paper's search.

    Parameters
    ----------
    method : str
        Name of the method.
    search : callable
        Stage 1 of one layer: :func:`arbitrary_cardinality` or :func:`equal_cardinality`.
    grams : ModelGrams
        Of ``L`` layers.
    settings : SearchSettings
        Of both stages.
    on_progress : callable
        Called after each layer of stage 1 and some generations of stage 2.
    scratch : Path or None
        Folder in which finished layers are kept.
    """
    totals = [layer.total for layer in grams]
    num_layers = len(totals)
    stage_one = settings.population_size * settings.generations
    stage_two = settings.stage2_population_size * settings.stage2_generations
    share = stage_one * num_layers / (stage_one * num_layers + stage_two)

    def on_layer(layer: int, candidates: LayerCandidates, finished: int) -> None:
        volume = hypervolume(
            candidates.cost,
            candidates.error,
            max_cost=2 * len(totals[layer]),
            max_error=float(np.trace(totals[layer])),
        )
        on_progress(
            Progress(
                stage="stage 1",
                step=finished,
                total=num_layers,
                fraction=share * finished / num_layers,
                layer=layer,
                hypervolume=volume,
            )
        )

    layers = search_layers(
        search,
        totals,
        settings,
        seconds_per_layer=stage_one * _SECONDS_PER_CANDIDATE,
        on_layer=on_layer,
        scratch=scratch,
    )

    def on_generation(generation: int, archive: Archive) -> None:
        last = settings.stage2_generations
        if generation % _REPORT_EVERY and generation != last:
            return
        volume = hypervolume(
            archive.cost,
            archive.error,
            max_cost=grams.spec.num_cached_heads,
            max_error=grams.trace,
        )
        on_progress(
            Progress(
                stage="stage 2",
                step=generation,
                total=last,
                fraction=share + (1 - share) * generation / last,
                hypervolume=volume,
            )
        )

    choices = over_layers(layers, settings, on_generation=on_generation)
    return front_of(method, layers, choices)


def over_layers(
    layers: Sequence[LayerCandidates],
    settings: SearchSettings,
    *,
    on_generation: Callable[[int, Archive], None] | None = None,
) -> IntArray:
    """Return stage 2's plans: a candidate of each layer, shape (N, L).

    Parameters
    ----------
    layers : sequence of L LayerCandidates
        Sorted by cost, the source's own heads last.
    settings : SearchSettings
        Those of stage 2 count.
    on_generation : callable, optional
        Called after each generation.
    """
    cost = _padded([layer.cost for layer in layers])  # (L, C)
    error = _padded([layer.error for layer in layers])  # (L, C)
    each = np.arange(len(layers))

    def evaluate(genes: IntArray) -> tuple[IntArray, FloatArray]:
        return cost[each, genes].sum(axis=1), error[each, genes].sum(axis=1)

    archive = nsga2(
        ChoiceGenes([layer.cost for layer in layers]),
        evaluate,
        max_cost=int(cost.max(axis=1).sum()),
        population_size=settings.stage2_population_size,
        generations=settings.stage2_generations,
        crossover_probability=settings.crossover_probability,
        mutation_probability=settings.mutation_probability,
        rng=layer_rng(settings, layer=0, stage=2),
        on_generation=on_generation,
    )
    return archive.genes


def _stage_one(
    encoding: LabelGenes | BlockGenes, gram: FloatArray, settings: SearchSettings, layer: int
) -> LayerCandidates:
    """Return the non-dominated groupings that NSGA-II finds, cheapest first."""

    def evaluate(genes: IntArray) -> tuple[IntArray, FloatArray]:
        labels = encoding.labels(genes)
        return labels.max(axis=1) + 1, population_wse(gram, labels)

    archive = nsga2(
        encoding,
        evaluate,
        max_cost=len(gram),
        population_size=settings.population_size,
        generations=settings.generations,
        crossover_probability=settings.crossover_probability,
        mutation_probability=settings.mutation_probability,
        rng=layer_rng(settings, layer),
    )
    keep = nondominated(archive.cost, archive.error)
    return LayerCandidates.shared(encoding.labels(archive.genes[keep]), archive.error[keep])


def _padded(rows: Sequence[NDArray[np.number]]) -> NDArray[np.number]:
    """Return rows of different lengths as one array; what fills it is never read."""
    padded = np.zeros((len(rows), max(map(len, rows))), dtype=rows[0].dtype)
    for line, row in zip(padded, rows, strict=True):
        line[: len(row)] = row
    return padded
