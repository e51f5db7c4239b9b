"""lm-evaluation-harness where it is installed: its modules, its tasks, its silence."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

from qcqa.errors import EvaluationError
from qcqa.measure.benchmark import INSTALL_HARNESS
from qcqa.measure.task_files import demo_task_files, read_task_file

#: Of the draw of examples that are shown before a question, as in the harness.
_FEWSHOT_SEED = 1234


def harness_module(name: str) -> Any:
    """Return a module of the harness.

    Raises
    ------
    EvaluationError
        If the harness is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise EvaluationError(
            f"tasks need lm-evaluation-harness, and {error.name} is not installed",
            remedy=INSTALL_HARNESS,
        ) from error


def load_tasks(
    tasks: Sequence[str | Path], *, num_fewshot: int | None, allow_code: bool
) -> dict[str, Any]:
    """Return the tasks with their data, as the harness's ``evaluate`` takes them.

    Parameters
    ----------
    tasks : sequence of str or Path
        Names that the harness knows, names of the demo's tasks, or YAML files.
    num_fewshot : int or None
        Examples before a question; None for what each task says.
    allow_code : bool
        Whether YAML files may run what they name.

    Raises
    ------
    EvaluationError
        If a task is unknown, its data cannot be had, or its file would run code.
    """
    manager_class = harness_module("lm_eval.tasks").TaskManager
    files = demo_task_files()
    specs: list[Any] = []
    for task in tasks:
        path = files.get(str(task), Path(task))
        is_file = isinstance(task, Path) or path.suffix in (".yaml", ".yml")
        specs.append(read_task_file(path, allow_code=allow_code) if is_file else str(task))
    names = [spec for spec in specs if isinstance(spec, str)]
    # The index of some ten thousand tasks takes seconds; local files do without.
    manager = _known_tasks() if names else manager_class(include_defaults=False)
    for name in names:
        _require_known(name, [*files, *manager.all_tasks])
    loaded: dict[str, Any] = {"tasks": {}, "groups": {}, "group_map": {}}
    for spec in specs:
        for part, found in _load(manager, spec).items():
            loaded[part] |= found
    for name, task in loaded["tasks"].items():
        _require_harmless(name, task)
        _set_fewshot(task, num_fewshot)
    return loaded


@cache
def _known_tasks() -> Any:
    return harness_module("lm_eval.tasks").TaskManager()


def _require_known(name: str, known: Sequence[str]) -> None:
    if name not in known:
        near = ", ".join(get_close_matches(name, known)) or "hellaswag, arc_easy, piqa"
        raise EvaluationError(
            f"there is no task {name!r}",
            expected=f"a name that lm-evaluation-harness knows, such as {near}, or a YAML file",
        )


def _load(manager: Any, spec: Any) -> dict[str, Any]:
    name = spec if isinstance(spec, str) else spec["task"]
    try:
        loaded: dict[str, Any] = manager.load([spec])
    # What the libraries of data sets raise offline, for data that is gone, and for data that
    # comes as a program or needs a package of its own.
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        raise EvaluationError(
            f"the data of {name} cannot be had ({error})",
            remedy="fetch it once with a connection to the Hub, or use a local task",
        ) from error
    return loaded


def _require_harmless(name: str, task: Any) -> None:
    if getattr(task, "UNSAFE_CODE", False):
        raise EvaluationError(f"{name} runs code that the model writes", remedy="leave it out")
    if getattr(task, "MULTIMODAL", False):
        raise EvaluationError(f"{name} shows pictures or sounds", expected="a task of text alone")


def _set_fewshot(task: Any, num_fewshot: int | None) -> None:
    default = task.get_config("num_fewshot")
    # A task that says 0 cannot do with more, as in the harness.
    if num_fewshot is not None and default != 0:
        task.set_config(key="num_fewshot", value=num_fewshot)
    elif default is None:
        task.set_config(key="num_fewshot", value=0)
    task.set_fewshot_seed(seed=_FEWSHOT_SEED)


@contextmanager
def sandboxed() -> Iterator[None]:
    """Keep a task's templates, which are Jinja's, from all but the questions.

    Raises
    ------
    EvaluationError
        If one reaches for more.
    """
    module, sandbox = harness_module("lm_eval.utils"), harness_module("jinja2.sandbox")
    env = module.env
    module.env = sandbox.ImmutableSandboxedEnvironment(
        loader=env.loader, undefined=env.undefined, keep_trailing_newline=env.keep_trailing_newline
    )
    module.env.filters.update(env.filters)
    try:
        yield
    except sandbox.SecurityError as error:
        raise EvaluationError(f"a template of a task runs code ({error})") from error
    finally:
        module.env = env


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the harness's own bars and remarks off the terminal: progress is told elsewhere."""
    module = harness_module("lm_eval.api.task")
    logger = logging.getLogger("lm_eval")
    bar, level = module.tqdm, logger.level
    module.tqdm = partial(bar, disable=True)
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        module.tqdm = bar
        logger.setLevel(level)
