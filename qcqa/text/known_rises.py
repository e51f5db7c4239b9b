"""Rises that were measured, kept in a file so that a search which was stopped goes on from them."""

import json
from pathlib import Path

from qcqa.errors import QCQAError
from qcqa.model.spec import ModelSpec
from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.registry import site_from_json, site_to_json


class KnownRises:
    """Rises of the loss by layer and what is chosen there, in nats per token.

    Parameters
    ----------
    path : Path, optional
        A file of JSON lines, read now and appended to; none to remember only.
    spec : ModelSpec, optional
        Of the source; needed with a file.
    """

    def __init__(self, path: Path | None = None, spec: ModelSpec | None = None):
        self._path = path
        self._rises: dict[tuple[int, LayerChoice], float] = {}
        if path is not None and spec is not None and path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                self._read(line, spec)

    def get(self, layer: int, choice: LayerChoice) -> float | None:
        """Return the rise if it is known."""
        return self._rises.get((layer, choice))

    def add(self, layer: int, choice: LayerChoice, rise: float) -> None:
        """Remember a rise."""
        self._rises[layer, choice] = rise
        if self._path is not None:
            sites = [site_to_json(site) for site in choice.sites]
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps([layer, *sites, rise]) + "\n")

    def _read(self, line: str, spec: ModelSpec) -> None:
        try:
            layer, key, value, rise = json.loads(line)
            choice = LayerChoice(site_from_json(key, spec), site_from_json(value, spec))
        except (ValueError, TypeError, AttributeError, QCQAError):
            # Half a line: whoever wrote it was killed. It is measured again.
            return
        self._rises[layer, choice] = float(rise)
