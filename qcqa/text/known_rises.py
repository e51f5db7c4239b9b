"""Rises that were measured, kept in a file so that a search which was stopped goes on from them."""

import json
from pathlib import Path

from qcqa.plan.grouping import Grouping, LayerGrouping


class KnownRises:
    """Rises of the loss by layer and grouping, in nats per token.

    Parameters
    ----------
    path : Path, optional
        A file of JSON lines, read now and appended to; none to remember only.
    """

    def __init__(self, path: Path | None = None):
        self._path = path
        self._rises: dict[tuple[int, LayerGrouping], float] = {}
        if path is not None and path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                self._read(line)

    def get(self, layer: int, grouping: LayerGrouping) -> float | None:
        """Return the rise if it is known."""
        return self._rises.get((layer, grouping))

    def add(self, layer: int, grouping: LayerGrouping, rise: float) -> None:
        """Remember a rise."""
        self._rises[layer, grouping] = rise
        if self._path is not None:
            labels = [list(grouping.key.labels), list(grouping.value.labels)]
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps([layer, *labels, rise]) + "\n")

    def _read(self, line: str) -> None:
        try:
            layer, key, value, rise = json.loads(line)
            grouping = LayerGrouping(Grouping.from_labels(key), Grouping.from_labels(value))
        except (ValueError, TypeError):
            # Half a line: whoever wrote it was killed. It is measured again.
            return
        self._rises[layer, grouping] = float(rise)
