"""What makes a plan of a run again, as a Python script."""

import json
from dataclasses import asdict, fields
from textwrap import indent
from typing import Any

from qcqa.jobs.recipe import LONGEST_LINE, Recipe, changed_settings
from qcqa.jobs.run import CALIBRATION
from qcqa.measure.benchmark import Benchmark
from qcqa.options import Options
from qcqa.search.methods import wants_calibration

#: Beside the argument's name there is no room for more on a line.
_LONGEST_TUPLE = 80
_CALIBRATION = f'run / "{CALIBRATION}"'


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
        device=None if search.device == "auto" else _source(search.device),
    )
    lines = [
        f"model = {_source(search.model)}",
        f"run = Path({_source(recipe.run)})",
        f"settings = {_call('qcqa.SearchSettings', **_sources(changed_settings(search.settings)))}",
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
        f"kv_bits = qcqa.bits_within_ratio(result.spec, {recipe.ratio})",
        "plan = "
        + _call(
            "qcqa.plan_of_result",
            "result",
            "kv_bits",
            method=_source(recipe.method),
            settings="settings",
        ),
    ]
    save = f"qcqa.save_plan(plan, Path({_source(recipe.out + '.json')}))"
    if recipe.is_source:
        lines.append(save)
    else:
        where = {"device": recipe.device, "dtype": recipe.dtype}
        lines += [
            f"benchmark = {_benchmark_call(recipe.benchmark)}",
            "source, measured = "
            + _call(
                "qcqa.evaluate_plans",
                "model",
                "[plan]",
                "benchmark",
                revision=revision,
                **{name: _source(value) for name, value in where.items() if value != "auto"},
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


def _benchmark_call(benchmark: Benchmark) -> str:
    changed = {
        field.name: getattr(benchmark, field.name)
        for field in fields(benchmark)
        if getattr(benchmark, field.name) != field.default
    }
    sources = _sources({name: value for name, value in changed.items() if name != "speed"})
    if benchmark.speed:
        sources["speed"] = _call("qcqa.DecodeLoad", **_sources(asdict(benchmark.speed)))
    return _call("qcqa.Benchmark", **sources)


def _call(function: str, *arguments: str, **options: str | None) -> str:
    """Return the Python of a call, an argument a line where it is long; None is left out."""
    words = [*arguments, *(f"{name}={text}" for name, text in options.items() if text is not None)]
    line = f"{function}({', '.join(words)})"
    if len(line) <= LONGEST_LINE - len("    converted = "):
        return line
    return f"{function}(\n" + "".join(indent(word, "    ") + ",\n" for word in words) + ")"


def _sources(values: dict[str, Any]) -> dict[str, str | None]:
    return {name: _source(value) for name, value in values.items()}


def _source(value: object) -> str | None:
    """Return a value as Python, with double quotes; None for None."""
    if isinstance(value, Options):
        return _call(f"qcqa.{type(value).__name__}", **_sources(value.changed()))
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, tuple):
        inner = ", ".join(str(_source(item)) for item in value)
        if len(inner) > _LONGEST_TUPLE:
            # One below the other, within a call of three indents.
            return (
                "(" + "".join(f"\n            {_source(item)}," for item in value) + "\n        )"
            )
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return None if value is None else repr(value)
