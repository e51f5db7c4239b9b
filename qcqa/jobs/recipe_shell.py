"""What makes a plan of a run again, as commands of a shell."""

import shlex
from collections.abc import Mapping
from typing import Any

from qcqa.jobs.config import SearchConfig
from qcqa.jobs.recipe import LONGEST_LINE, Recipe, changed_settings
from qcqa.measure.benchmark import Benchmark, DecodeLoad
from qcqa.options import Options
from qcqa.plan.budget import budget_text
from qcqa.search.presets import PRESETS, Preset
from qcqa.search.strategy.config import SearchSettings


def shell_recipe(recipe: Recipe) -> str:
    """Return commands that search, measure, write the plan and convert, for a POSIX shell.

    They write into the folder in which they are run.
    """
    run, out = recipe.run, recipe.out
    budget = budget_text(float(recipe.ratio))
    point = ["--method", recipe.method, "--budget", budget]
    search = ["search", recipe.search.model, *_search_options(recipe.search), "--out", run]
    evaluate = ["evaluate", "--run", run, "--method", recipe.method, "--budgets", budget]
    evaluate += _benchmark_options(recipe.benchmark)
    evaluate += _option("--device", recipe.device, "auto")
    evaluate += _option("--dtype", recipe.dtype, "auto")
    plan = ["plan", run, *point, "--out", f"{out}.json"]
    convert = ["convert", "--run", run, *point, "--out", out]
    commands = [search, plan] if recipe.is_source else [search, evaluate, plan, convert]
    return "".join(_command(["qcqa", *words]) + "\n" for words in commands)


def _search_options(search: SearchConfig) -> list[str]:
    settings = changed_settings(search.settings)
    options = _option("--revision", search.revision, None)
    options += _option("--device", search.device, "auto")
    preset = _preset_of(search)
    if preset is not None:
        options += ["--preset", preset.name]
        settings = {name: value for name, value in settings.items() if name not in preset.fixed}
    else:
        options += [word for method in search.methods for word in ("--method", method)]
        # Another fitness has another merge by default: named, it needs no rule here.
        if "fitness" in settings:
            settings["merge"] = search.settings.merge
        # It is what a search does by itself where it may.
        settings.pop("stage2_fitness", None)
    for name, value in settings.items():
        if isinstance(value, Options):
            options += _flags(type(value), value.changed())
        else:
            options += _flags(SearchSettings, {name: value})
    if search.model != "demo" or search.calibration != "demo":
        options += _option("--calibration", search.calibration, None)
    return [*options, "--name", search.name]


def _flags(kind: type[Options], changed: Mapping[str, Any]) -> list[str]:
    words = []
    for name, value in changed.items():
        words += [kind.flag(name), *([] if value is True else [str(value)])]
    return words


def _preset_of(search: SearchConfig) -> Preset | None:
    for preset in PRESETS.values():
        methods, settings = preset.asked(search.settings, has_text=search.calibration is not None)
        if (set(methods), settings) == (set(search.methods), search.settings):
            return preset
    return None


def _benchmark_options(benchmark: Benchmark) -> list[str]:
    options = _option("--text", benchmark.text, None)
    options += _option("--tasks", ",".join(benchmark.tasks), "")
    options += ["--allow-task-code"] if benchmark.allow_task_code else []
    # A limit of documents was one of another kind: today's counts windows.
    counts_documents = benchmark.text is not None and benchmark.limit_of == "documents"
    options += _option("--limit", None if counts_documents else benchmark.limit, None)
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
        if len(lines[-1]) + len(part) < LONGEST_LINE:
            lines[-1] += f" {part}"
        else:
            lines.append(f"    {part}")
    return " \\\n".join(lines)
