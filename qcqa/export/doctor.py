"""Whether all that this library needs is here and works: for a first look, and for bug reports.

What needs torch or transformers is done in a process of its own, by
:mod:`qcqa.export.doctor_models`: whatever happens there, a crash included, is a line here.
"""

import json
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from qcqa.errors import QCQAError
from qcqa.export.preflight import free_memory_bytes
from qcqa.files.places import free_bytes, require_writable
from qcqa.sizes import bytes_text

_PACKAGE = "qcqa-explorer"
#: The extra of which something is needed by some that use this library; others are for its tests.
_OPTIONAL = "eval"
_PROOF = "qcqa.export.doctor_models"
#: Imports from a cold disk take most of it; the proof itself takes a few seconds.
_MOST_SECONDS = 300

#: A note neither passes nor fails: it says what the machine is.
State = Literal["pass", "fail", "note"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Parameters
    ----------
    name : str
        What it is.
    state : {"pass", "fail", "note"}
        How it is.
    found : str
        What was found, on one line; where it fails, why.
    """

    name: str
    state: State
    found: str


def examine(*, home: Path, browser: str | None, browser_remedy: str) -> Iterator[Check]:
    """Look at versions, machine and a tiny model's conversion; yield what each thing is like.

    Parameters
    ----------
    home : Path
        Where runs are kept.
    browser : str or None
        Program that draws pictures.
    browser_remedy : str
        What to do where there is none.
    """
    yield from check_versions()
    yield Check("system", "note", f"{platform.system()} {platform.release()}, {platform.machine()}")
    yield _memory()
    yield _disk(home)
    yield Check("browser for pictures", "note", browser or f"none: {browser_remedy}")
    yield from _check_models()


def check_versions() -> Iterator[Check]:
    """Compare what is installed with the ranges that this package's own metadata say."""
    try:
        package, needed = metadata(_PACKAGE), requires(_PACKAGE) or []
    except PackageNotFoundError:
        yield Check("qcqa", "fail", f"{_PACKAGE} is not installed; pip install it")
        return
    yield Check("qcqa", "pass", package["Version"])
    python = SpecifierSet(package["Requires-Python"])
    yield _in_range("python", platform.python_version(), python, f"use Python {python}")
    for requirement in map(Requirement, needed):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield _check_package(requirement)
        elif requirement.marker.evaluate({"extra": _OPTIONAL}):
            yield _check_package(requirement, is_optional=True)


def _check_package(requirement: Requirement, *, is_optional: bool = False) -> Check:
    name, wanted = requirement.name, requirement.specifier
    remedy = f"pip install '{name}{wanted}'"
    try:
        installed = version(name)
    except PackageNotFoundError:
        if is_optional:
            return Check(name, "note", f"not installed; for qcqa evaluate --tasks: {remedy}")
        return Check(name, "fail", f"not installed; {remedy}")
    return _in_range(name, installed, wanted, remedy)


def _in_range(name: str, installed: str, wanted: SpecifierSet, remedy: str) -> Check:
    # A development version of a release in the range is in the range, too.
    if wanted.contains(installed, prereleases=True):
        return Check(name, "pass", f"{installed} ({wanted})")
    return Check(name, "fail", f"{installed}; expected {wanted}; {remedy}")


def _memory() -> Check:
    free = free_memory_bytes()
    said = "the system does not tell" if free is None else f"{bytes_text(free)} free"
    return Check("memory", "note", said)


def _disk(home: Path) -> Check:
    try:
        require_writable(home)
        return Check("disk", "pass", f"{bytes_text(free_bytes(home))} free at {home}")
    except QCQAError as error:
        return Check("disk", "fail", f"{error.one_line()}; set QCQA_HOME to another folder")
    except OSError as error:
        return Check("disk", "fail", f"{home} cannot be used ({error.strerror})")


def _check_models() -> Iterator[Check]:
    """Yield what the process found that runs torch; where it ends early, say so."""
    done = subprocess.Popen(
        [sys.executable, "-m", _PROOF], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        output, errors = done.communicate(timeout=_MOST_SECONDS)
        end = f"exit code {done.returncode}"
    except subprocess.TimeoutExpired:
        done.kill()
        output, errors = done.communicate()
        end = f"nothing for {_MOST_SECONDS} seconds"
    last = "start"
    for line in output.splitlines():
        with suppress(ValueError):  # a line that was cut
            check = Check(**json.loads(line))
            last = check.name
            yield check
    if done.returncode != 0:
        said = (errors.strip().splitlines() or ["it said nothing"])[-1]
        yield Check("proof", "fail", f"its process ended after '{last}' with {end}: {said}")
