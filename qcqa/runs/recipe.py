"""What makes a plan of a run again: as commands of a shell, and as Python."""

import json
import shlex
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from math import ceil
from textwrap import indent
from typing import Any

from qcqa.budget import heads_within_ratio
from qcqa.evaluated import Benchmark, DecodeLoad, Evaluated
from qcqa.methods import wants_calibration
from qcqa.model_spec import ModelSpec
from qcqa.plan import GroupingPlan
from qcqa.runs.config import SearchConfig
from qcqa.runs.new import slug
from qcqa.runs.run import CALIBRATION, Run
from qcqa.search.config import SearchSettings
from qcqa.use_cases.presets import PRESETS
from qcqa.use_cases.search import SEARCHED_METHODS

#: Options of ``qcqa search`` by the setting that they set. Workers change no result.
_OPTIONS = {
    "population_size": "--population",
    "generations": "--generations",
    "stage2_population_size": "--stage2-population",
    "stage2_generations": "--stage2-generations",
    "crossover_probability": "--crossover",
    "mutation_probability": "--mutation",
    "restarts": "--restarts",
    "seed": "--seed",
    "fitness": "--fitness",
    "apart": "--apart",
    "merge": "--merge",
    "refit": "--refit",
}

#: Longer lines are broken.
_LONGEST_LINE = 88

_CALIBRATION = f'run / "{CALIBRATION}"'


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


def recipe_of(
    run: Run, plan: GroupingPlan, max_cached_heads: int, rows: Iterable[Evaluated] = ()
) -> Recipe:
    """Return how a plan of a run is made again.

    Parameters
    ----------
    run : Run
        The search.
    plan : GroupingPlan
        One of its plans.
    max_cached_heads : int
        Budget for which it is the best of its method.
    rows : iterable of Evaluated
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
        device, dtype = "cpu", "auto"
    return Recipe(
        search=run.search,
        method=plan.method,
        ratio=_ratio_text(plan.model, max_cached_heads),
        is_source=plan.num_cached_heads == plan.model.num_cached_heads,
        has_calibration=plan.calibration is not None,
        benchmark=benchmark,
        device=device,
        dtype=dtype,
    )


def shell_recipe(recipe: Recipe) -> str:
    """Return commands that search, measure, write the plan and convert, for a POSIX shell.

    They write into the folder in which they are run.
    """
    run, out = recipe.run, recipe.out
    point = ["--method", recipe.method, "--budget", recipe.ratio]
    search = ["search", recipe.search.model, *_search_options(recipe.search), "--out", run]
    evaluate = ["evaluate", "--run", run, "--method", recipe.method, "--budgets", recipe.ratio]
    evaluate += _benchmark_options(recipe.benchmark)
    evaluate += _option("--device", recipe.device, "cpu") + _option("--dtype", recipe.dtype, "auto")
    plan = ["plan", run, *point, "--out", f"{out}.json"]
    convert = ["convert", "--run", run, *point, "--out", out]
    commands = [search, plan] if recipe.is_source else [search, evaluate, plan, convert]
    return "".join(_command(["qcqa", *words]) + "\n" for words in commands)


def python_recipe(recipe: Recipe) -> str:
    """Return a script that does the same by the public API; see :func:`shell_recipe`."""
    search = recipe.search
    revision = _source(search.revision)
    needs_text = search.calibration and wants_calibration(search.methods, search.settings)
    kept = _CALIBRATION if recipe.has_calibration else None
    load = _call(
        "qcqa.CalibratedModel",
        "model",
        _source(search.calibration) or "",
        _CALIBRATION,
        revision=revision,
        device=None if search.device == "cpu" else _source(search.device),
    )
    lines = [
        f"model = {_source(search.model)}",
        f"run = Path({_source(recipe.run)})",
        f"settings = {_call('qcqa.SearchSettings', **_sources(_differing(search.settings)))}",
        *([f"calibrated = {load}"] if needs_text else []),
        "result = "
        + _call(
            "qcqa.search_model",
            "model",
            revision=revision,
            methods=_source(search.methods),
            settings="settings",
            folder="run",
            calibrated="calibrated" if needs_text else None,
        ),
        f"heads = qcqa.heads_within_ratio(result.spec, {recipe.ratio})",
        "plan = "
        + _call(
            "qcqa.plan_of_result",
            "result",
            "heads",
            method=_source(recipe.method),
            settings="settings",
        ),
    ]
    save = f"qcqa.save_plan(plan, Path({_source(recipe.out + '.json')}))"
    if recipe.is_source:
        lines.append(save)
    else:
        where = {"device": (recipe.device, "cpu"), "dtype": (recipe.dtype, "auto")}
        lines += [
            f"benchmark = {_benchmark_call(recipe.benchmark)}",
            "source, measured = "
            + _call(
                "qcqa.evaluate_plans",
                "model",
                "[plan]",
                "benchmark",
                revision=revision,
                **{name: _source(own) for name, (own, usual) in where.items() if own != usual},
                calibrations=kept,
            ),
            "plan = replace(plan, measured=measured.measured)",
            save,
            _call(
                "qcqa.convert_by_plan",
                "model",
                "plan",
                f"Path({_source(recipe.out)})",
                revision=revision,
                calibrations=kept,
            ),
            f"converted = qcqa.load({_source(recipe.out)})",
        ]
    imports = "" if recipe.is_source else "from dataclasses import replace\n"
    # A search starts processes, which import the script again.
    return (
        f"{imports}from pathlib import Path\n\nimport qcqa\n\n\n"
        f"def main() -> None:\n{indent(chr(10).join(lines), '    ')}\n\n\n"
        'if __name__ == "__main__":\n    main()\n'
    )


def _ratio_text(spec: ModelSpec, max_cached_heads: int) -> str:
    """Return a KV ratio that is a budget of exactly so many heads, with few digits."""
    ratio = max_cached_heads / spec.num_cached_heads
    if float(f"{ratio:.4g}") == ratio:
        return f"{ratio:.4g}"
    # Rounded up: a budget that is rounded down may have one head less.
    texts = (f"{ceil(ratio * 10**digits) / 10**digits:.{digits}f}" for digits in range(1, 16))
    fitting = (
        text
        for text in texts
        if float(text) <= 1 and heads_within_ratio(spec, float(text)) == max_cached_heads
    )
    return next(fitting, repr(ratio))


def _differing(settings: SearchSettings) -> dict[str, Any]:
    """Return the settings that are not as they are by default."""
    usual = SearchSettings()
    return {
        name: getattr(settings, name)
        for name in _OPTIONS
        if getattr(settings, name) != getattr(usual, name)
    }


def _search_options(search: SearchConfig) -> list[str]:
    preset = PRESETS["best"]
    settings = _differing(search.settings)
    options = _option("--revision", search.revision, None)
    options += _option("--device", search.device, "cpu")
    if set(search.methods) == set(preset.methods) and not set(preset.fixed) & set(settings):
        options += ["--preset", preset.name]
    elif search.methods != SEARCHED_METHODS:
        options += [word for method in search.methods for word in ("--method", method)]
    # Another fitness has another merge by default: named, it needs no rule here.
    if "fitness" in settings:
        settings["merge"] = search.settings.merge
    for name, value in settings.items():
        options += [_OPTIONS[name]] if value is True else [_OPTIONS[name], str(value)]
    if search.model != "demo" or search.calibration != "demo":
        options += _option("--calibration", search.calibration, None)
    return [*options, "--name", search.name]


def _benchmark_options(benchmark: Benchmark) -> list[str]:
    options = _option("--text", benchmark.text, None)
    options += _option("--tasks", ",".join(benchmark.tasks), "")
    options += _option("--limit", benchmark.limit, None)
    options += _option("--window", benchmark.window_tokens, None)
    if benchmark.speed:
        load, usual = benchmark.speed, DecodeLoad(512)
        options += ["--speed", *_option("--context", load.context_tokens, usual.context_tokens)]
        options += _option("--batch", load.batch_size, usual.batch_size)
        options += _option("--new-tokens", load.new_tokens, usual.new_tokens)
    return options


def _option(name: str, value: object, usual: object) -> list[str]:
    return [] if value == usual else [name, str(value)]


def _command(words: list[str]) -> str:
    """Return a command, broken before an option where it is long."""
    parts: list[str] = []
    for word in words:
        if word.startswith("--") or not parts:
            parts.append(shlex.quote(word))
        else:
            parts[-1] += f" {shlex.quote(word)}"
    lines = [parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + len(part) < _LONGEST_LINE:
            lines[-1] += f" {part}"
        else:
            lines.append(f"    {part}")
    return " \\\n".join(lines)


def _benchmark_call(benchmark: Benchmark) -> str:
    told = {
        field.name: getattr(benchmark, field.name)
        for field in fields(benchmark)
        if getattr(benchmark, field.name)
    }
    sources = _sources({name: value for name, value in told.items() if name != "speed"})
    if benchmark.speed:
        sources["speed"] = _call("qcqa.DecodeLoad", **_sources(asdict(benchmark.speed)))
    return _call("qcqa.Benchmark", **sources)


def _call(function: str, *arguments: str, **options: str | None) -> str:
    """Return the Python of a call, an argument a line where it is long; None is left out."""
    words = [*arguments, *(f"{name}={text}" for name, text in options.items() if text is not None)]
    line = f"{function}({', '.join(words)})"
    if len(line) <= _LONGEST_LINE - len("    converted = "):
        return line
    return f"{function}(\n" + "".join(indent(word, "    ") + ",\n" for word in words) + ")"


def _sources(values: dict[str, Any]) -> dict[str, str | None]:
    return {name: _source(value) for name, value in values.items()}


def _source(value: object) -> str | None:
    """Return a value as Python, with double quotes; None for None."""
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, tuple):
        inner = ", ".join(str(_source(one)) for one in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return None if value is None else repr(value)
