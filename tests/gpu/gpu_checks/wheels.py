"""Packages that a machine lacks, carried to it as wheels: fetched on one machine, used on another.

Neither needs this project's other dependencies; nothing outside the two folders is touched.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

_PROJECT = Path(__file__).resolve().parents[3]

#: Where wheels are kept; git ignores it.
FOLDER = Path(__file__).resolve().parents[1] / "wheels"
#: What the measured parts import beside torch, transformers, numpy, scipy and safetensors.
NEEDED = ("pydantic",)


def requirements(names: Sequence[str] = NEEDED) -> list[str]:
    """Return what this project asks of packages, such as ``pydantic>=2.9``."""
    project = tomllib.loads((_PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    by_name = {re.split(r"[^\w.-]", one)[0]: one for one in project["dependencies"]}
    return [by_name[name] for name in names]


def fetch(folder: Path, *, python_versions: Sequence[str], platforms: Sequence[str]) -> None:
    """Download wheels for other machines, with all that they need in turn.

    Parameters
    ----------
    folder : Path
        Where they go.
    python_versions : sequence of str
        Of those machines, such as ``3.12``.
    platforms : sequence of str
        Tags that those machines take, such as ``manylinux_2_17_x86_64``.

    Raises
    ------
    CalledProcessError
        If pip fails; it has said why.
    """
    for version in python_versions:
        tags = [part for tag in platforms for part in ("--platform", tag)]
        _pip(
            "download", "--only-binary=:all:", "--dest", str(folder),
            "--python-version", version, "--implementation", "cp", *tags, *requirements(),
        )  # fmt: skip


def missing(names: Sequence[str] = NEEDED) -> list[str]:
    """Return which packages cannot be imported here."""
    return [name for name in names if find_spec(name) is None]


def install(wanted: Sequence[str], wheels: Path, folder: Path) -> None:
    """Install from wheels alone into a folder, and import from it first.

    Parameters
    ----------
    wanted : sequence of str
        Requirements.
    wheels : Path
        What :func:`fetch` has filled.
    folder : Path
        Where packages go; new.

    Raises
    ------
    CalledProcessError
        If the wheels do not do; pip has said why.
    """
    _pip(
        "install", "--no-index", "--find-links", str(wheels), "--target", str(folder), *wanted
    )  # fmt: skip
    sys.path.insert(0, str(folder))


def _pip(*arguments: str) -> None:
    options = ("--quiet", "--disable-pip-version-check")
    subprocess.run([sys.executable, "-m", "pip", *arguments, *options], check=True)
