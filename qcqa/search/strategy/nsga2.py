"""pymoo's NSGA-II on whole populations of integer genes; nothing else here imports pymoo."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.crossover import Crossover
from pymoo.core.mutation import Mutation
from pymoo.core.problem import Problem
from pymoo.core.repair import Repair
from pymoo.core.sampling import Sampling
from pymoo.termination.max_gen import MaximumGenerationTermination

from qcqa.search.strategy.encodings import Encoding

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Cost, a whole number, and error of a population, both of shape (P,) and minimised.
Evaluate = Callable[[IntArray], tuple[IntArray, FloatArray]]
OnGeneration = Callable[[int, "Archive"], None]

#: How often children are made anew while too few differ from all of the population.
_MATING_ATTEMPTS = 4


class Archive:
    """The best candidate seen at every cost: a front may be longer than a population.

    Parameters
    ----------
    max_cost : int
        Costs are whole numbers from 0 to this.
    num_genes : int
        Genes of a candidate, ``V``.
    """

    def __init__(self, max_cost: int, num_genes: int):
        self._error = np.full(max_cost + 1, np.inf)
        self._genes = np.zeros((max_cost + 1, num_genes), dtype=np.int64)

    def add(self, genes: IntArray, cost: IntArray, error: FloatArray) -> None:
        """Take in a population: genes (P, V), cost (P,), error (P,)."""
        order = np.lexsort((error, cost))
        costs, first = np.unique(cost[order], return_index=True)
        best = order[first]
        better = error[best] < self._error[costs]
        self._error[costs[better]] = error[best[better]]
        self._genes[costs[better]] = genes[best[better]]

    @property
    def cost(self) -> IntArray:
        """Costs at which a candidate was seen, increasing, shape (N,)."""
        return np.flatnonzero(np.isfinite(self._error))

    @property
    def error(self) -> FloatArray:
        """The least error seen at each of them, shape (N,)."""
        return self._error[self.cost]

    @property
    def genes(self) -> IntArray:
        """A candidate that has it, shape (N, V)."""
        return self._genes[self.cost]


def nsga2(
    encoding: Encoding,
    evaluate: Evaluate,
    *,
    max_cost: int,
    population_size: int,
    generations: int,
    crossover_probability: float,
    mutation_probability: float | None,
    rng: np.random.Generator,
    on_generation: OnGeneration | None = None,
) -> Archive:
    """Minimise cost and error over genes.

    Parameters
    ----------
    encoding : Encoding
        First population, crossover and mutation.
    evaluate : callable
        Cost and error of a whole population.
    max_cost : int
        No candidate costs more.
    population_size, generations : int
        The first population counts as a generation.
    crossover_probability : float
        That a child mixes its parents rather than being a copy of one.
    mutation_probability : float or None
        That a gene of a child changes; one gene per child by default.
    rng : Generator
        The only source of randomness.
    on_generation : callable, optional
        Called after each generation with its number, from 1, and the archive.

    Returns
    -------
    Archive
        The best of all candidates that were evaluated. It ends early when nothing new is found.
    """
    archive = Archive(max_cost, encoding.num_genes)
    if mutation_probability is None:
        mutation_probability = 1 / encoding.num_genes
    algorithm = NSGA2(
        pop_size=population_size,
        sampling=_Sampling(encoding),
        crossover=_Crossover(encoding, crossover_probability),
        mutation=_Mutation(encoding, mutation_probability),
        repair=_Canonical(encoding),
    )
    # A small space is soon all in the population: pymoo would look 100 times for what is new.
    algorithm.mating.n_max_iterations = _MATING_ATTEMPTS
    algorithm.setup(
        _Problem(encoding, evaluate, archive),
        termination=MaximumGenerationTermination(generations),
        seed=rng,
    )
    while algorithm.has_next():
        generation = algorithm.n_iter or 1
        algorithm.next()
        if on_generation:
            ended = not algorithm.has_next()
            on_generation(generations if ended else generation, archive)
    return archive


class _Problem(Problem):  # type: ignore[misc]  # pymoo has no types
    """Cost and error of genes, and a memory of the best."""

    def __init__(self, encoding: Encoding, evaluate: Evaluate, archive: Archive):
        super().__init__(n_var=encoding.num_genes, n_obj=2)
        self.of_population = evaluate
        self.archive = archive

    def _evaluate(self, x: IntArray, out: dict[str, Any], *_: Any, **__: Any) -> None:
        cost, error = self.of_population(x)
        self.archive.add(x, cost, error)
        out["F"] = np.column_stack([cost, error])


class _Sampling(Sampling):  # type: ignore[misc]  # pymoo has no types
    def __init__(self, encoding: Encoding):
        super().__init__()
        self.encoding = encoding

    def _do(
        self, _problem: Problem, n_samples: int, *_: Any, random_state: Any = None, **__: Any
    ) -> IntArray:
        return self.encoding.sample(n_samples, random_state)


class _Crossover(Crossover):  # type: ignore[misc]  # pymoo has no types
    def __init__(self, encoding: Encoding, probability: float):
        super().__init__(n_parents=2, n_offsprings=2, prob=probability)
        self.encoding = encoding

    def _do(
        self, _problem: Problem, x: IntArray, *_: Any, random_state: Any = None, **__: Any
    ) -> IntArray:
        first, second = x  # (M, V) each
        return np.stack(
            [
                self.encoding.cross(first, second, random_state),
                self.encoding.cross(second, first, random_state),
            ]
        )


class _Mutation(Mutation):  # type: ignore[misc]  # pymoo has no types
    def __init__(self, encoding: Encoding, probability: float):
        super().__init__(prob=1.0)
        self.encoding = encoding
        self.probability = probability

    def _do(
        self, _problem: Problem, x: IntArray, *_: Any, random_state: Any = None, **__: Any
    ) -> IntArray:
        # Crossover names groups as it likes, mutation counts them.
        genes = self.encoding.canonical(x)
        return self.encoding.mutate(genes, self.probability, random_state)


class _Canonical(Repair):  # type: ignore[misc]  # pymoo has no types
    """Write genes in one way, so that pymoo's elimination of duplicates finds them."""

    def __init__(self, encoding: Encoding):
        super().__init__()
        self.encoding = encoding

    def _do(self, _problem: Problem, x: IntArray, **_: Any) -> IntArray:
        return self.encoding.canonical(x)
