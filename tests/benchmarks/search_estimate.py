"""Whether searches take what they are said to: ``python tests/benchmarks/search_estimate.py``.

Times every part that :mod:`qcqa.search.strategy.cost` knows, in this process and on one core, at
several sizes, and prints the seconds of CPU beside those that are foretold. Then whole searches of
the demo model as ``qcqa search`` makes them, beside the span that ``--dry-run`` prints. Exits with
1 where a part is wrong by more than a factor of 2, or a search ends outside its span.

    python tests/benchmarks/search_estimate.py [--parts] [--searches] [--json FILE]

Parts of a few milliseconds are left out of the verdict: they count nothing in a search.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from search_speed import synthetic_grams

from qcqa.jobs.store import create_run
from qcqa.jobs.worker import work
from qcqa.model.inspect import inspect_model
from qcqa.reduce.candidates import Slot
from qcqa.search.preflight import preflight
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.cost import (
    arbitrary_seconds,
    choice_seconds,
    equal_seconds,
    optimal_seconds,
)
from qcqa.search.strategy.optimal import optimal_candidates
from qcqa.search.strategy.options import ExactOptions, TwoStageOptions
from qcqa.search.strategy.problem import wse_problem
from qcqa.search.strategy.stage_one import slot_rng
from qcqa.search.strategy.two_stage import arbitrary_cardinality, equal_cardinality, over_slots

#: Part, seconds of CPU, and seconds that were foretold.
Row = tuple[str, float, float]

MAX_FACTOR = 2.0
LEAST_SECONDS = 0.05

HEADS = (4, 8, 12, 16, 32, 64, 128)
POPULATIONS = ((40, 30), (100, 60), (200, 30))
EFFORTS = {
    "quick": SearchSettings(
        two_stage=TwoStageOptions(
            population_size=40, generations=30, stage2_population_size=80, stage2_generations=150
        )
    ),
    "standard": SearchSettings(),
}


def cpu_seconds(call: Callable[..., object], *arguments: object) -> float:
    """Return the CPU time of a call in this process."""
    started = time.process_time()
    call(*arguments)
    return time.process_time() - started


def parts() -> Iterator[Row]:
    """Time the parts of a search by weights."""
    for heads in HEADS:
        objective = wse_problem(synthetic_grams(2, heads)).objective(Slot(1))
        exact, slot = ExactOptions(), Slot(1)
        taken = cpu_seconds(optimal_candidates, objective, exact, slot, slot_rng(0, slot))
        yield f"optimal, {heads} heads", taken, optimal_seconds(heads, exact)
        for population, generations in POPULATIONS:
            options = TwoStageOptions(population_size=population, generations=generations)
            for name, search, foretell in (
                ("AC", arbitrary_cardinality, arbitrary_seconds),
                ("EC", equal_cardinality, equal_seconds),
            ):
                taken = cpu_seconds(search, objective, options, slot, slot_rng(0, slot))
                what = f"{name} stage 1, {heads} heads, {population} x {generations}"
                yield what, taken, foretell(heads, options)
    for layers, heads in ((6, 8), (32, 32), (80, 64)):
        problem = wse_problem(synthetic_grams(layers, heads))
        quick = ExactOptions(restarts=0)
        slots = [
            optimal_candidates(problem.objective(slot), quick, slot, slot_rng(0, slot)).candidates(
                problem.spec
            )
            for slot in map(Slot, range(layers))
        ]
        for population in (80, 200, 400):
            options = TwoStageOptions(stage2_population_size=population, stage2_generations=50)
            taken = cpu_seconds(over_slots, slots, options, slot_rng(0, Slot(0), stage=2))
            what = f"stage 2, {layers} x {heads}, {population} x 50"
            yield what, taken, choice_seconds(options)


def searches() -> Iterator[tuple[str, float, float, float]]:
    """Time whole searches; yields seconds of wall time, and the ends of the span foretold."""
    model = inspect_model("demo")
    for name, settings in EFFORTS.items():
        methods = ("optimal", "qcqa-ac", "qcqa-ec")
        time_of = preflight(model, methods=methods, settings=settings).time.on_this_machine()
        with tempfile.TemporaryDirectory() as folder:
            run = create_run(
                model="demo", methods=methods, settings=settings, folder=Path(folder) / "run"
            )
            started = time.perf_counter()
            work(run)
            # The start of a process is foretold as well, and was not needed here.
            taken = time.perf_counter() - started + time_of.parts[0].seconds
        yield f"demo, {name}", taken, time_of.low, time_of.high


def main() -> None:
    """Measure, print, and say whether all is foretold well enough."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", action="store_true", help="the parts only")
    parser.add_argument("--searches", action="store_true", help="the searches only")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    both = arguments.parts == arguments.searches
    measured, is_good = [], True
    if both or arguments.parts:
        for what, taken, foretold in parts():
            factor = taken / foretold
            counts = max(taken, foretold) >= LEAST_SECONDS
            bad = counts and not 1 / MAX_FACTOR <= factor <= MAX_FACTOR
            is_good &= not bad
            print(
                f"{what:40} {taken:8.3f} s   foretold {foretold:8.3f} s   x {factor:4.2f}"
                f"{'   WRONG' if bad else ''}",
                flush=True,
            )
            measured.append({"part": what, "seconds": taken, "foretold": foretold})
    if both or arguments.searches:
        for what, taken, low, high in searches():
            bad = not low <= taken <= high
            is_good &= not bad
            print(
                f"{what:40} {taken:8.1f} s   foretold {low:.0f} to {high:.0f} s"
                f"{'   WRONG' if bad else ''}",
                flush=True,
            )
            measured.append({"search": what, "seconds": taken, "low": low, "high": high})
    if arguments.json:
        arguments.json.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
