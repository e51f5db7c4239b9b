"""Which releases are supported is said in one way: by the package, its requirements, the README."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from qcqa.conversion.travelling.releases_qcqa import (
    MIDDLE_TRANSFORMERS,
    NEWEST_TRANSFORMERS,
    OLDEST_TRANSFORMERS,
)

PROJECT = Path(__file__).resolve().parents[1]


def _project() -> dict[str, Any]:
    content: dict[str, Any] = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))
    return content


def _requirements() -> list[str]:
    project = _project()["project"]
    extras = project["optional-dependencies"].values()
    return [*project["dependencies"], *(one for extra in extras for one in extra)]


def _dependency(name: str) -> Requirement:
    [found] = [one for one in map(Requirement, _requirements()) if one.name == name]
    return found


def _next_minor(release: str) -> str:
    return f"{Version(release).major}.{Version(release).minor + 1}"


def test_the_tested_releases_are_in_their_order() -> None:
    releases = [OLDEST_TRANSFORMERS, MIDDLE_TRANSFORMERS, NEWEST_TRANSFORMERS]
    assert sorted(set(releases), key=Version) == releases


def test_the_requirement_spans_what_is_tested_and_no_more() -> None:
    ends = {one.operator: one.version for one in _dependency("transformers").specifier}
    assert ends == {">=": OLDEST_TRANSFORMERS, "<": _next_minor(NEWEST_TRANSFORMERS)}


def test_the_readme_says_the_same() -> None:
    readme = (PROJECT / "README.md").read_text("utf-8")
    [(oldest, newest)] = re.findall(r"`transformers` (\d[\d.]*) to (\d+\.\d+)\b", readme)
    assert oldest == OLDEST_TRANSFORMERS
    assert newest == NEWEST_TRANSFORMERS.rpartition(".")[0]
    [(oldest, newest)] = re.findall(r"`torch` (\d[\d.]*) to (\d+\.\d+)\b", readme)
    ends = {one.operator: one.version for one in _dependency("torch").specifier}
    assert ends == {">=": oldest, "<=": f"{newest}.0"}


@pytest.mark.parametrize("text", [*_requirements(), *_project()["build-system"]["requires"]])
def test_every_requirement_ends_before_releases_that_nobody_tested(text: str) -> None:
    operators = {one.operator for one in Requirement(text).specifier}
    assert operators & {"<", "<=", "=="}, f"{text} takes any later release"
