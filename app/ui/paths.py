"""Paths that forms name: ``qcqa app --root`` limits them to a folder."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from qcqa.errors import QCQAError, RunError
from qcqa.files.user_path import existing_file, shown, user_path
from qcqa.jobs.home import ROOT_VARIABLE, converted_folder, runs_folder
from qcqa.jobs.jobs import search_of
from qcqa.jobs.run import Run


def typed_path(typed: str, refusal: type[QCQAError]) -> Path:
    """Return the path that a reader means, see :func:`~qcqa.files.user_path.user_path`.

    Raises
    ------
    QCQAError
        If it can be no path, or is outside the root.
    """
    path = user_path(typed, refusal)
    require_within_root(path, refusal)
    return path


def typed_file(typed: str, *, expected: str, refusal: type[QCQAError]) -> Path:
    """Return the path of a file that can be read, see :func:`~qcqa.files.user_path.existing_file`.

    Raises
    ------
    QCQAError
        If there is none, or it is outside the root.
    """
    # First of all: a refusal tells nothing of what is outside.
    require_within_root(user_path(typed, refusal), refusal)
    return existing_file(typed, expected=expected, refusal=refusal)


def is_limited() -> bool:
    """Return whether forms may name paths in one folder alone."""
    return bool(os.environ.get(ROOT_VARIABLE))


def require_within_root(path: Path, refusal: type[QCQAError]) -> None:
    """Refuse a path outside the root and the dashboard's own folders, wherever links lead.

    Raises
    ------
    QCQAError
        Which says the path and the root.
    """
    root = os.environ.get(ROOT_VARIABLE)
    if not root:
        return
    try:
        there = path.resolve()
        folders = (Path(root), runs_folder().resolve(), converted_folder().resolve())
        is_within = any(there.is_relative_to(folder) for folder in folders)
    except (OSError, RuntimeError, ValueError):
        is_within = False
    if not is_within:
        raise refusal(f"{shown(path)} is outside {root}", expected="a path within it (--root)")


def require_run_within_root(run: Run) -> None:
    """Refuse a run that names paths outside the root: it may have come from anywhere.

    Raises
    ------
    RunError
        Which says the path and the root.
    """
    configs = [run.config] if not run.is_job else [run.config, search_of(run).config]
    for text in _texts([config.model_dump() for config in configs]):
        if text.startswith(("/", "~")):
            require_within_root(user_path(text, RunError), RunError)


def _texts(content: object) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, Mapping):
        yield from _texts(list(content.values()))
    elif isinstance(content, (list, tuple)):
        for value in content:
            yield from _texts(value)
