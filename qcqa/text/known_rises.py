"""Rises that were measured, kept in a file so that a search which was stopped goes on from them."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcqa.errors import QCQAError, RunError
from qcqa.files.writing import append_line
from qcqa.reading.file import FileKind
from qcqa.reading.json_file import whole_lines
from qcqa.reduce.groups.earlier import site_of_labels
from qcqa.reduce.registry import site_to_json

_FILE = FileKind("rises of the loss", RunError, "search again in a new run", most_bytes=2**28)

#: What a layer was changed to, as JSON: the choices at its keys and at its values, or which of them
#: is kept in fewer bits and by which codec.
Change = tuple[Any, Any]


class KnownRises:
    """Rises of the loss by layer and change, in nats per token.

    Parameters
    ----------
    path : Path, optional
        A file of JSON lines, read now and appended to; none to remember only.
    """

    def __init__(self, path: Path | None = None):
        self._path = path
        self._rises: dict[str, float] = {}
        if path is not None and path.exists():
            for row in whole_lines(path, _FILE):
                self._read(row)

    def of(
        self, layer: int, changes: Sequence[Change], measure: Callable[[int], float]
    ) -> NDArray[np.float64]:
        """Return the rises (C,) of some changes of a layer, measured now where they are not known.

        Parameters
        ----------
        layer : int
            Number of the layer.
        changes : sequence of Change
            Of the layer.
        measure : callable
            Returns the rise of a change from its place among them.
        """
        rises = []
        for place, change in enumerate(changes):
            name = _name(layer, change)
            if name not in self._rises:
                self._add(name, measure(place))
            rises.append(self._rises[name])
        return np.array(rises, dtype=np.float64)

    def _add(self, name: str, rise: float) -> None:
        self._rises[name] = rise
        if self._path is not None:
            append_line(self._path, json.dumps([*json.loads(name), rise]))

    def _read(self, row: Any) -> None:
        try:
            layer, *change, rise = row
            name = _name(int(layer), [_today(part) for part in change])
            self._rises[name] = float(rise)
        except (ValueError, TypeError, OverflowError, QCQAError):
            # Half of a line, or none of ours. It is measured again.
            return


def _today(part: Any) -> Any:
    """Return a part of a change; earlier releases wrote the labels of heads that share."""
    is_labels = isinstance(part, list) and part and all(isinstance(label, int) for label in part)
    return site_to_json(site_of_labels(part)) if is_labels else part


def _name(layer: int, change: Sequence[Any]) -> str:
    return json.dumps([layer, *change], sort_keys=True)
