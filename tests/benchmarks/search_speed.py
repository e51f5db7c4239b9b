"""How long searches take: ``python tests/benchmarks/search_speed.py [--json FILE]``.

On Grams of random heads, some of which cluster, as trained ones do. ``--only`` picks rows.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from qcqa.model.spec import ModelSpec
from qcqa.reduce.groups.gram import HeadGram, ModelGrams, gram_of_heads
from qcqa.reduce.groups.wse import population_wse
from qcqa.search.methods import run_method
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.optimal import lower_bound
from qcqa.search.strategy.options import TwoStageOptions
from qcqa.search.strategy.problem import wse_problem


def synthetic_grams(num_layers: int, num_heads: int) -> ModelGrams:
    """Return Grams of heads that cluster a little in the first layer and more in later ones."""
    rng = np.random.default_rng(0)
    head_dim, hidden_size, count = 8, 64, max(2, num_heads // 3)

    def gram(strength: float) -> np.ndarray:
        cluster = rng.integers(0, count, num_heads)
        centre = strength * rng.normal(size=(count, head_dim, hidden_size))[cluster]
        noise = rng.normal(size=(num_heads, head_dim, hidden_size))
        size = rng.lognormal(0, 0.2, size=(num_heads, 1, 1))
        return gram_of_heads(((centre + noise) * size).astype(np.float32))

    strengths = np.linspace(0, 0.6, num_layers)
    spec = ModelSpec(
        source="synthetic",
        revision=None,
        model_type="llama",
        num_layers=num_layers,
        num_query_heads=num_heads,
        num_kv_heads=num_heads,
        head_dim=head_dim,
        hidden_size=hidden_size,
        has_kv_bias=False,
        dtype="bfloat16",
    )
    layers = tuple(HeadGram(key=gram(s), value=gram(s)) for s in strengths)
    return ModelGrams(spec=spec, fingerprint="0" * 16, layers=layers)


def wse_milliseconds() -> float:
    """Return the time to score 100 groupings of 32 heads, the median of many."""
    gram = synthetic_grams(1, 32).layers[0].total
    labels = np.random.default_rng(0).integers(0, 32, size=(100, 32))
    times = []
    for _ in range(200):
        start = time.perf_counter()
        population_wse(gram, labels)
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times))


def optimal_seconds(num_layers: int, num_heads: int, workers: int | None) -> float:
    """Return the time for the front of all budgets and the bound."""
    grams = synthetic_grams(num_layers, num_heads)
    start = time.perf_counter()
    problem, settings = wse_problem(grams), SearchSettings(workers=workers)
    lower_bound(problem, settings)
    run_method("optimal", problem, settings)
    return time.perf_counter() - start


def two_stage_seconds(method: str, workers: int | None) -> float:
    """Return the time for both stages at 32 layers of 32 heads, with the default settings."""
    grams = synthetic_grams(32, 32)
    settings = SearchSettings(
        two_stage=TwoStageOptions(population_size=100, generations=100), workers=workers
    )
    start = time.perf_counter()
    run_method(method, wse_problem(grams), settings)
    return time.perf_counter() - start


def cpu_seconds() -> float:
    """Return the CPU time of this process and its children: what a busy machine does not bend."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def main() -> None:
    """Measure, print a table, and write it where it was asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--workers", type=int, help="processes, by default one per CPU")
    parser.add_argument("--only", nargs="*", help="rows to measure, all by default")
    arguments = parser.parse_args()
    workers: int | None = arguments.workers
    rows: dict[str, tuple[str, float, Callable[[], float]]] = {
        "wse": ("WSE of 100 groupings, 32 heads (ms)", 2, wse_milliseconds),
        "optimal-32x32": (
            "optimal front + bound, 32 x 32 (s)",
            10,
            lambda: optimal_seconds(32, 32, workers),
        ),
        "optimal-80x64": (
            "optimal front + bound, 80 x 64 (s)",
            120,
            lambda: optimal_seconds(80, 64, workers),
        ),
        "qcqa-ac-32x32": (
            "QCQA-AC, two stages, 32 x 32 (s)",
            90,
            lambda: two_stage_seconds("qcqa-ac", workers),
        ),
        "qcqa-ec-32x32": (
            "QCQA-EC, two stages, 32 x 32 (s)",
            90,
            lambda: two_stage_seconds("qcqa-ec", workers),
        ),
    }
    measured = {}
    for name in arguments.only or rows:
        label, limit, measure = rows[name]
        before = cpu_seconds()
        value = round(measure(), 3)
        cpu = round(cpu_seconds() - before, 1)
        measured[name] = {"label": label, "value": value, "limit": limit, "cpu_seconds": cpu}
        print(f"{label:40} {value:8.2f}   limit {limit:4}   {cpu:6.1f} s of CPU", flush=True)
    if arguments.json:
        content = {"cpus": os.cpu_count(), "measured": measured}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
