"""The folder of measured rows: one file per model and benchmark, and what is hidden of them."""

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from pydantic import TypeAdapter

from qcqa.errors import EvaluationError, QCQAError
from qcqa.files.writing import write_text_atomically
from qcqa.measure.evaluation import Evaluation, PartName, by_size
from qcqa.reading.file import FileKind
from qcqa.reading.json_file import as_record, read_object, read_record

_FORMAT = "qcqa-measured-2"

#: Figures of a model that has gone wrong may be infinite, or no numbers.
_FILE = FileKind("measured figures", EvaluationError, takes_infinity=True)

#: File of a folder that names what is hidden of the rows that came with the package.
_HIDDEN = "hidden.json"

#: Begins the names of rows of which a part was deleted.
_REST = "rest-"


@dataclass(frozen=True, slots=True)
class MeasuredFolder:
    """A folder of rows, one file per model and benchmark.

    Parameters
    ----------
    path : Path
        The folder; see :meth:`make`.
    included : Path or None
        Another one, which is only read: rows that came with the package.
    """

    path: Path
    included: Path | None = None

    def rows(self) -> tuple[Evaluation, ...]:
        """Return all rows that can be read, in the order of :func:`by_size`.

        What was measured here stands in for what the included rows say of the same.
        """
        measured = self._measured()
        said = {(_model_of(row), part) for row in measured.values() for part in row.parts().items()}
        rows = list(measured.values())
        for key, row in self._shown().items():
            again = [
                name for name, how in row.parts().items() if (_model_of(row), (name, how)) in said
            ]
            rest = row.without(again)
            if rest is not None and key not in measured:
                rows.append(rest)
        return by_size(rows)

    def _measured(self) -> dict[str, Evaluation]:
        """Return the rows that were measured here, by their keys."""
        return _load_all(self.path)

    def _shown(self) -> dict[str, Evaluation]:
        """Return the included rows by their keys, without what is hidden of them."""
        if self.included is None:
            return {}
        hidden = self._hidden()
        rows = (
            (key, row.without(hidden.get(key, ()))) for key, row in _load_all(self.included).items()
        )
        return {key: row for key, row in rows if row is not None}

    def row(self, key: str) -> Evaluation | None:
        """Return the row of a key, or None if it is not there or cannot be read."""
        row = _load(self.path / f"{key}.json")
        if row is None and self.included is not None:
            row = _load(self.included / f"{key}.json")
            return row.without(self._hidden().get(key, ())) if row else None
        return row

    def forget(self, wanted: Callable[[Evaluation], Collection[PartName]]) -> "Forgotten":
        """Delete what was measured, and hide what came with the package.

        What a row holds beside is kept.

        Parameters
        ----------
        wanted : callable
            Returns which parts of a row go.

        Raises
        ------
        EvaluationError
            If a file cannot be deleted or written.
        """
        deleted, hidden, newly = 0, self._hidden(), 0
        try:
            measured = self._measured()
            for key, row in list(measured.items()):
                parts = row.parts().keys() & set(wanted(row))
                if not parts:
                    continue
                del measured[key]
                rest = row.without(parts)
                if rest is not None and not _says_the_same(rest, measured.values()):
                    # Another name: under its own it would pass for the whole benchmark.
                    name = _name_of_rest(key, rest)
                    self._write(name, rest)
                    measured[name] = rest
                (self.path / f"{key}.json").unlink()
                deleted += 1
            for key, row in self._shown().items():
                if parts := row.parts().keys() & set(wanted(row)):
                    hidden[key] = sorted({*hidden.get(key, ()), *parts})
                    newly += 1
            if newly:
                self._hide(hidden)
        except OSError as error:
            raise EvaluationError(
                f"figures in {self.path} cannot be deleted ({error.strerror})",
                expected="a folder that can be written",
            ) from error
        return Forgotten(deleted, newly)

    @property
    def num_hidden(self) -> int:
        """Rows that came with the package and are hidden, whole or in part."""
        return len(self._hidden())

    def show_hidden(self) -> int:
        """Show again what was hidden of the rows that came with the package; return how many."""
        shown = self.num_hidden
        (self.path / _HIDDEN).unlink(missing_ok=True)
        return shown

    def _hidden(self) -> dict[str, list[PartName]]:
        try:
            return read_record(self.path / _HIDDEN, _HIDDEN_PARTS, _FILE)
        except QCQAError:
            return {}

    def _hide(self, hidden: Mapping[str, Collection[PartName]]) -> None:
        self.make()
        write_text_atomically(self.path / _HIDDEN, json.dumps(hidden, indent=2) + "\n")

    def save(self, key: str, row: Evaluation) -> None:
        """Keep a row, atomically, in place of rows that say the same under other keys.

        Keys change with the text's content and with versions of this package.
        """
        self._write(key, row)
        for other, old in self._measured().items():
            if other == key or _model_of(old) != _model_of(row):
                continue
            # Other benchmarks that hold a part too were asked for as a whole, and stay.
            is_in_it = other.startswith(_REST) and old.parts().items() <= row.parts().items()
            if is_in_it or old.benchmark == row.benchmark:
                (self.path / f"{other}.json").unlink(missing_ok=True)

    def _write(self, key: str, row: Evaluation) -> None:
        content = {"format": _FORMAT, **asdict(row)}
        # Hundreds of sums need no line each.
        samples = json.dumps(content.pop("samples"))
        text = json.dumps(content, indent=2).removesuffix("\n}")
        text += f',\n  "samples": {samples}\n}}\n'
        write_text_atomically(self.path / f"{key}.json", text)

    def make(self) -> None:
        """Make the folder, before anything is measured for it.

        Raises
        ------
        EvaluationError
            If it cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EvaluationError(
                f"figures cannot be kept in {self.path} ({error.strerror})",
                expected="a folder that can be written",
            ) from error

    def scores_files(self, key: str) -> tuple[Path, ...]:
        """Return where the scores of a source may lie; the first is the one to write."""
        return tuple(folder / f"source-{key}.safetensors" for folder in self._folders())

    def _folders(self) -> tuple[Path, ...]:
        return (self.path,) if self.included is None else (self.path, self.included)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What :meth:`MeasuredFolder.forget` did.

    Parameters
    ----------
    deleted : int
        Rows that were deleted, or lost a part.
    hidden : int
        Rows that came with the package and are hidden now, whole or in part.
    """

    deleted: int
    hidden: int


_ROW = TypeAdapter(Evaluation)
_HIDDEN_PARTS: TypeAdapter[dict[str, list[PartName]]] = TypeAdapter(dict[str, list[PartName]])


def _model_of(row: Evaluation) -> tuple[str, str, str, str]:
    """Return what tells a row's model, as it ran, from others."""
    return (row.method, row.plan_digest, row.device, row.dtype)


def _says_the_same(row: Evaluation, others: Iterable[Evaluation]) -> bool:
    subject = (_model_of(row), row.benchmark)
    return any((_model_of(other), other.benchmark) == subject for other in others)


def _name_of_rest(key: str, row: Evaluation) -> str:
    content = json.dumps([key, asdict(row.benchmark)], sort_keys=True)
    return _REST + sha256(content.encode()).hexdigest()[:24]


def _load_all(folder: Path) -> dict[str, Evaluation]:
    rows = ((path.stem, _load(path)) for path in sorted(folder.glob("*.json")))
    return {key: row for key, row in rows if row is not None}


def _load(path: Path) -> Evaluation | None:
    try:
        content = read_object(path, _FILE)
        if content.get("format") != _FORMAT:
            return None
        if content.pop("num_cached_heads", None):  # what earlier releases counted
            content["kv_bits"] = 8 * content.get("kv_bytes_per_token", 0)
        return as_record(content, _ROW, path, _FILE)
    except QCQAError:
        return None
