"""How long searches by output error take on layers of the size of a 7B model.

    python tests/benchmarks/output_error_speed.py [--only SHAPE ...] [--layers N] [--json FILE]

Layers have random weights whose heads share some of their directions, and a covariance of the
inputs with a spectrum that falls. ``--drawn`` of them are made; their files stand for all
``--layers``, which are searched as if they were others. For each shape:

    grams     what the calibration adds to its pass over the text, a layer: Grams, guides, bounds
    search    the lower bound, and the fronts of GQA, MQA and all searched methods, from those files
    by wse    the same by WSE, for the ratio

The requirement: two minutes for the search of 32 layers of 32 heads on two cores; exits with 1
where it is missed. Other work on the machine bends wall time: the time of the CPU and the load are
told beside it.
"""

import argparse
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from search_speed import cpu_seconds, synthetic_grams

from qcqa.reduce.groups.gram import ModelGrams
from qcqa.reduce.groups.merge.context import LayerContext
from qcqa.reduce.groups.merge.grams import layer_grams
from qcqa.reduce.groups.merge.layer_weights import LayerWeights
from qcqa.reduce.groups.subspace.grams import stored_objective
from qcqa.search.method_sets import BASELINES, SEARCHED_METHODS
from qcqa.search.methods import run_method
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.optimal import lower_bound
from qcqa.search.strategy.problem import Problem, wse_problem

LIMIT_SECONDS = 120


@dataclass(frozen=True)
class Shape:
    """Geometry of a layer."""

    hidden_size: int
    num_query_heads: int
    num_kv_heads: int
    head_dim: int
    is_rotary: bool = True
    has_bias: bool = False


SHAPES = {
    "llama-2-7b": Shape(4096, 32, 32, 128),
    "llama-3-8b": Shape(4096, 32, 8, 128),
    "opt-6.7b": Shape(4096, 32, 32, 128, is_rotary=False, has_bias=True),
    "opt-1.3b": Shape(2048, 32, 32, 64, is_rotary=False, has_bias=True),
}


def random_layer(shape: Shape, seed: int) -> tuple[LayerWeights, LayerContext]:
    """Return a layer whose heads have directions in common with some others."""
    rng = np.random.default_rng(seed)
    size, width = shape.head_dim, shape.hidden_size + shape.has_bias
    falling = (1 + np.arange(size))[:, None] ** -0.5

    def heads(number: int, share: float) -> torch.Tensor:
        common = rng.standard_normal((max(2, number // 4), size, width), dtype=np.float32)
        own = rng.standard_normal((number, size, width), dtype=np.float32)
        drawn = share * common[rng.integers(0, len(common), number)] + own
        return torch.from_numpy((drawn * falling / np.sqrt(width)).astype(np.float32))

    output = rng.standard_normal(
        (shape.hidden_size, shape.num_query_heads, size), dtype=np.float32
    ) / np.sqrt(shape.hidden_size)
    weights = LayerWeights(
        query=heads(shape.num_query_heads, 0.3),
        key=heads(shape.num_kv_heads, 0.8),
        value=heads(shape.num_kv_heads, 0.8),
        output=torch.from_numpy(output.astype(np.float32)),
    )
    half = size // 2
    planes = tuple((p, p + half) for p in range(half)) if shape.is_rotary else ()
    return weights, LayerContext(moment=random_moment(shape, rng), rotary_planes=planes)


def random_moment(shape: Shape, rng: np.random.Generator) -> torch.Tensor:
    """Return a second moment of inputs: most is in few directions, and their mean is not 0."""
    size = shape.hidden_size
    own = rng.permutation((1.0 + np.arange(size)) ** -0.7)
    common = rng.standard_normal((size, 96)) * 0.3 * (1 + np.arange(96)) ** -0.7
    moment = np.diag(own) + common @ common.T
    if shape.has_bias:
        mean = 0.3 * rng.standard_normal(size)
        moment = np.block([[moment + np.outer(mean, mean), mean[:, None]], [mean, np.ones(1)]])
    return torch.from_numpy(moment)


def measured(work: Callable[[], object], per: int = 1) -> dict[str, float]:
    """Return the wall time and the CPU time of some work, over a number."""
    wall, cpu = time.perf_counter(), cpu_seconds()
    work()
    wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    return {"wall_seconds": round(wall / per, 2), "cpu_seconds": round(cpu / per, 2)}


def search(problem: Problem, settings: SearchSettings) -> None:
    """Do what ``qcqa search`` does once second moments and Grams are there."""
    lower_bound(problem, settings)
    for method in (*BASELINES, *SEARCHED_METHODS):
        run_method(method, problem, settings)


def of_shape(
    shape: Shape, num_layers: int, drawn: int, workers: int | None, folder: Path
) -> dict[str, dict[str, float]]:
    """Return the times of one shape."""
    layers = [random_layer(shape, seed) for seed in range(drawn)]

    def keep_grams() -> None:
        for number, (weights, context) in enumerate(layers):
            layer_grams(weights, context).save(folder / str(number), mark="benchmark")

    times = {"grams": measured(keep_grams, per=drawn)}
    layers.clear()
    settings = SearchSettings(fitness="output-error", workers=workers)
    grams: ModelGrams = synthetic_grams(num_layers, shape.num_kv_heads)
    problem = Problem(
        grams=grams,
        make_objective=lambda layer, kind: stored_objective(folder / str(layer % drawn), kind),
        fitness="output-error",
    )
    times["search"] = measured(lambda: search(problem, settings))
    times["by wse"] = measured(lambda: search(wse_problem(grams), SearchSettings(workers=workers)))
    return times


def main() -> None:
    """Measure, print a table, and write it where it was asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=SHAPES, help="shapes, all by default")
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--drawn", type=int, default=2, help="layers that are not repetitions")
    parser.add_argument("--workers", type=int, help="processes, by default one per CPU")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    cores = arguments.workers or os.cpu_count() or 1
    result = {}
    for name in arguments.only or SHAPES:
        with tempfile.TemporaryDirectory() as folder:
            times = of_shape(
                SHAPES[name], arguments.layers, arguments.drawn, arguments.workers, Path(folder)
            )
        result[name] = times
        for part, values in times.items():
            limit = f"   limit {LIMIT_SECONDS} s" if part == "search" else ""
            print(
                f"{name:12} {part:8} {values['wall_seconds']:8.1f} s"
                f"{values['cpu_seconds']:9.1f} s of CPU{limit}",
                flush=True,
            )
        ratio = times["search"]["cpu_seconds"] / times["by wse"]["cpu_seconds"]
        print(f"{name:12} output error over WSE, time of the CPU: {ratio:.2f}")
    # The high-water mark of workers would be this one: they inherit it when they start.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    load = os.getloadavg()[0]
    print(f"peak {peak:.1f} GB; {cores} workers; load {load:.1f}")
    if arguments.json:
        content = {"cores": cores, "load": load, "peak_gb": peak, "measured": result}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    if any(times["search"]["wall_seconds"] > LIMIT_SECONDS for times in result.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
