"""What the YAML file of a task would run, read without running any of it."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from qcqa.errors import EvaluationError

#: Kinds of data that are unpickled, and so may run anything.
_PICKLED = ("pandas", "webdataset")

#: More of them are not named.
_MOST_NAMED = 5


def code_of_task(path: Path) -> tuple[str, ...]:
    """Return what a task's file, with those that it includes, would run; mostly nothing.

    Functions that it names (``!function``), programs that come with its data or with its metrics,
    and data that would be unpickled.

    Parameters
    ----------
    path : Path
        A YAML file as lm-evaluation-harness takes it.

    Raises
    ------
    EvaluationError
        If it, or one that it includes, cannot be read.
    """
    yaml = import_module("yaml")
    found: list[str] = []

    class Loader(yaml.SafeLoader):  # type: ignore[misc, name-defined]  # yaml has no types
        """Reads names of functions as text, and keeps them."""

    def named(_loader: Any, node: Any) -> str:
        found.append(str(node.value))
        return str(node.value)

    Loader.add_constructor("!function", named)
    waiting, seen = [path], set()
    while waiting:
        file = waiting.pop().resolve()
        if file in seen:
            continue
        seen.add(file)
        try:
            content = yaml.load(file.read_bytes(), Loader=Loader)
        except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
            raise EvaluationError(f"{file} cannot be read as a task ({error})") from error
        found += _programs(content)
        if isinstance(content, dict) and (more := content.get("include")):
            names = more if isinstance(more, list) else [more]
            waiting += [file.parent / str(name) for name in names]
    return tuple(dict.fromkeys(found))


def refuse_code(path: Path) -> None:
    """Refuse a task's file that would run code.

    Raises
    ------
    EvaluationError
        Which names the file and what it would run.
    """
    if code := code_of_task(path):
        raise EvaluationError(
            f"{path} would run {code_text(code)} on this machine, with your rights",
            remedy="if you know what that does, allow it: --allow-task-code",
        )


def code_text(code: tuple[str, ...]) -> str:
    """Return what would be run in a few words."""
    more = len(code) - _MOST_NAMED
    return ", ".join(code[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _programs(content: Any) -> Iterator[str]:
    """Yield the programs that a file asks for anywhere but by ``!function``."""
    if isinstance(content, list):
        for part in content:
            yield from _programs(part)
    if not isinstance(content, dict):
        return
    if content.get("hf_evaluate"):
        yield f"the program of the metric {content.get('metric')}"
    if content.get("trust_remote_code"):
        yield "the program of its data"
    data = str(content.get("dataset_path", ""))
    if data.endswith(".py"):
        yield data
    if data in _PICKLED:
        yield f"what is pickled in its data ({data})"
    for part in content.values():
        yield from _programs(part)
