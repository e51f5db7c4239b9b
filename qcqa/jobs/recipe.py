"""What makes a plan of a run again; see ``recipe_shell`` and ``recipe_python`` for its words."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil
from typing import Any

from qcqa.jobs.config import SearchConfig
from qcqa.jobs.new import slug
from qcqa.jobs.run import Run
from qcqa.measure.benchmark import Benchmark, DecodeLoad
from qcqa.measure.evaluation import Evaluation
from qcqa.model.spec import ModelSpec
from qcqa.plan.budget import bits_within_ratio
from qcqa.plan.plan import Plan
from qcqa.search.strategy.config import SearchSettings

#: Longer lines of either are broken.
LONGEST_LINE = 88


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one plan of a search is made, from its model to the converted checkpoint.

    Parameters
    ----------
    search : SearchConfig
        The search.
    method : str
        Whose plan it is.
    ratio : str
        Budget for which it is the best, as a KV ratio.
    is_source : bool
        Whether every head keeps its own: nothing to measure or to convert.
    has_calibration : bool
        Whether the plan rests on a calibration text.
    benchmark, device, dtype
        How it is measured.
    """

    search: SearchConfig
    method: str
    ratio: str
    is_source: bool
    has_calibration: bool
    benchmark: Benchmark
    device: str
    dtype: str

    @property
    def run(self) -> str:
        """Name of the folder for the run."""
        return slug(self.search.name) or "run"

    @property
    def out(self) -> str:
        """Name of the folder for the converted checkpoint, and of the plan without its suffix."""
        return f"{self.run}-{self.method}"


def recipe_of(run: Run, plan: Plan, max_kv_bits: int, rows: Iterable[Evaluation] = ()) -> Recipe:
    """Return how a plan of a run is made again.

    Parameters
    ----------
    run : Run
        The search.
    plan : Plan
        One of its plans.
    max_kv_bits : int
        Budget for which it is the best of its method.
    rows : iterable of Evaluation
        What was measured in the run: the plan is measured in the same way.

    Raises
    ------
    RunError
        If the run is no search.
    """
    every = sorted(rows, key=lambda row: row.plan_digest != plan.digest)
    if every:
        benchmark, device, dtype = every[0].benchmark, every[0].device, every[0].dtype
    else:
        # Other models' texts are not known; the speed needs none.
        is_demo = run.search.model == "demo"
        benchmark = Benchmark("demo", limit=200) if is_demo else Benchmark(speed=DecodeLoad(512))
        device, dtype = "auto", "auto"
    return Recipe(
        search=run.search,
        method=plan.method,
        ratio=_ratio_text(plan.model, max_kv_bits),
        is_source=plan.kv_bits == plan.model.kv_bits,
        has_calibration=plan.calibration is not None,
        benchmark=benchmark,
        device=device,
        dtype=dtype,
    )


def _ratio_text(spec: ModelSpec, max_kv_bits: int) -> str:
    """Return a KV ratio that is a budget of exactly so many bits, with few digits."""
    ratio = max_kv_bits / spec.kv_bits
    if float(f"{ratio:.4g}") == ratio:
        return f"{ratio:.4g}"
    # Rounded up: a budget that is rounded down may have a few bits less.
    texts = (f"{ceil(ratio * 10**digits) / 10**digits:.{digits}f}" for digits in range(1, 16))
    fitting = (
        text
        for text in texts
        if float(text) <= 1 and bits_within_ratio(spec, float(text)) == max_kv_bits
    )
    return next(fitting, repr(ratio))


def changed_settings(settings: SearchSettings) -> dict[str, Any]:
    """Return the settings that are not as they are by default."""
    # Workers change no result.
    return {name: value for name, value in settings.changed().items() if name != "workers"}
