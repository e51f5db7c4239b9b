"""What a reduction's choices are made of stays in its room."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
ROOM = "qcqa/reduce/groups/"

#: What holds labels, and the module that it is in.
NAMES = {"Grouping", "LayerGrouping", "grouping", "qcqa.reduce.groups.grouping"}

#: Files beside the room that may name its groupings.
MAY_NAME = {
    "qcqa/__init__.py": "the Python API offers them to whoever makes a plan by hand",
    "qcqa/reduce/registry.py": "the row of the reduction",
}


def _known(path: Path) -> Iterator[str]:
    """Yield what a file imports of groupings, and where it reads their labels."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.ImportFrom() | ast.Import():
                names = {getattr(node, "module", None), *(one.name for one in node.names)}
                if names & NAMES:
                    yield f"line {node.lineno} imports groupings"
            case ast.Attribute(attr="labels"):
                yield f"line {node.lineno} reads labels"


@pytest.mark.parametrize("package", ["qcqa", "app"])
def test_nothing_outside_the_room_of_groups_knows_labels(package: str) -> None:
    files = {
        path.relative_to(CHECKOUT).as_posix(): path for path in (CHECKOUT / package).rglob("*.py")
    }
    found = {
        name: known
        for name, path in files.items()
        if not name.startswith(ROOM) and (known := list(_known(path)))
    }
    assert {name for name in MAY_NAME if name.startswith(package)} == found.keys(), found
