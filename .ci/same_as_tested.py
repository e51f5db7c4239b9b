"""Fail where the package by itself installs other releases than it was tested with.

Usage: ``same_as_tested.py TESTED INSTALLED``, two Pythons; what only the tests need may be in the
first alone.
"""

import json
import subprocess
import sys

_LIST = (
    "import json; from importlib.metadata import distributions; "
    "print(json.dumps({one.name.lower().replace('_', '-'): one.version "
    "for one in reversed(list(distributions()))}))"
)
#: Of the venvs, not of the package.
_OF_VENVS = {"pip", "setuptools", "wheel"}


def packages(python: str) -> dict[str, str]:
    """Return the releases that a Python finds, by the packages' names."""
    done = subprocess.run([python, "-c", _LIST], capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return {name: version for name, version in found.items() if name not in _OF_VENVS}


def main(tested: str, installed: str) -> None:
    """Print each difference and exit with 1, or say how many packages are the same."""
    known, found = packages(tested), packages(installed)
    differences = [
        f"{name}: tested {known.get(name, 'without it')}, pip install gives {version}"
        for name, version in sorted(found.items())
        if known.get(name) != version
    ]
    if differences:
        sys.exit("\n".join([*differences, "narrow the ranges in pyproject.toml, or test these"]))
    print(f"{len(found)} packages, all as tested")


if __name__ == "__main__":
    main(*sys.argv[1:])
