"""The addresses of the dashboard: what its pages make of whatever stands in one."""

import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlencode

from streamlit.testing.v1 import AppTest

from qcqa.errors import QCQAError
from qcqa.packaged import app_folder

# Pages import their shared pieces from there, as they do below ``streamlit run``.
sys.path.insert(0, str(app_folder()))

from ui.address import Choices, from_address, to_address
from ui.draft import Draft

NAME = "address.query"

_PAGES = ("explore", "groupings", "search", "evaluate", "runs", "export", "help")

#: A whole address, in which every name has a good value.
_WHOLE = {
    "page": "explore", "run": "demo", "budget": "37.5%", "unit": "gib", "scale": "output-error",
    "log": "True", "metric": "heldout/accuracy", "method": "gqa", "section": "speed",
    "generation": "x", "context": "4096", "batch": "16", "dtype": "float16", "compare": "gqa,mqa",
    "pair": "gqa,qcqa-ac", "layer": "1", "kind": "key", "stretch": "True", "gpu": "other",
    "memory": "24", "weights": "int4", "parameters": "7", "with": "demo", "model": "folder",
    "folder": "/no/such", "hub": "x/y", "revision": "main", "preset": "own", "fitness": "loss",
    "merge": "svd", "apart": "True", "refit": "True", "reduce": "groups,bits", "effort": "Quick",
    "methods": "best", "population_size": "40", "generations": "5", "stage2_population_size": "40",
    "stage2_generations": "5", "restarts": "1", "seed": "3", "bits_group": "32",
    "bits_rotate": "True", "name": "A name", "calibration": "/no/such.txt",
}  # fmt: skip


class LeftAtDefaultError(QCQAError):
    """An address holds what makes no sense; the page goes on without it."""


def whole_address() -> dict[str, bytes]:
    """Return an address as the file of a format."""
    return {NAME: urlencode(_WHOLE).encode()}


def read_address(folder: Path) -> None:
    """Read the choices of an address, and write them as pages do."""
    found = {name: values[-1] for name, values in _values(folder).items()}
    understood: set[str] = set()
    for kind in (Choices, Draft):
        chosen = from_address(kind, found)
        shown = to_address(chosen)
        again = from_address(kind, shown)
        assert to_address(again) == shown
        urlencode(shown).encode("ascii")
        understood |= shown.keys()
    if left := found.keys() & _WHOLE.keys() - understood - {"page"}:
        raise LeftAtDefaultError(f"{sorted(left)} of the address")


def prepare_pages() -> None:
    """Draw every page once, which imports what it needs."""
    for page in _PAGES:
        _draw({"page": [page]})


def open_page(folder: Path) -> None:
    """Draw the page of an address."""
    _draw(dict(_values(folder)))


def _draw(values: dict[str, list[str]]) -> None:
    page = values.pop("page", [""])[-1]
    app = AppTest.from_file(str(app_folder() / "main.py"), default_timeout=60)
    for name, several in values.items():
        app.query_params[name] = several
    if page in _PAGES:
        app.switch_page(f"views/{page}/{page}.py")
    app.run()
    for raised in app.exception:
        raise AssertionError(f"{page} shows {raised.message} {' '.join(raised.stack_trace[-1:])}")
    if problems := [*app.error, *app.warning]:
        raise LeftAtDefaultError(problems[0].value.replace("\n", " "))


def _values(folder: Path) -> Mapping[str, list[str]]:
    path = folder / NAME
    text = path.read_bytes().decode("utf-8", errors="replace") if path.exists() else ""
    return parse_qs(text, keep_blank_values=True)
