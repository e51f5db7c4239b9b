"""JSON: a value, an object, lines of values, or a record of known fields and types."""

import json
import re
from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from qcqa.errors import QCQAError
from qcqa.reading.file import FileKind, as_text, read_bytes

_T = TypeVar("_T")

#: Deeper than anything that is written on purpose, and what every writer of JSON still takes.
_MOST_DEPTH = 100
#: No float is larger than this many digits tell.
_MOST_DIGITS = 300

#: Half of a character outside the basic plane; the two halves together are one.
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def read_json(path: Path, kind: FileKind) -> Any:
    """Return the JSON value of a file.

    Raises
    ------
    QCQAError
        If the file cannot be read, or holds none that could be written again.
    """
    return parse_json(read_bytes(path, kind), path, kind)


def read_object(path: Path, kind: FileKind) -> dict[str, Any]:
    """Return the JSON object of a file; see :func:`read_json`."""
    return as_object(read_json(path, kind), path, kind)


def read_record(path: Path, record: TypeAdapter[_T], kind: FileKind) -> _T:
    """Return the record that a file's JSON value is; see :func:`read_json`."""
    return as_record(read_json(path, kind), record, path, kind)


def read_lines(path: Path, kind: FileKind) -> list[Any]:
    """Return the JSON values of a file's lines; see :func:`read_json`."""
    return [
        parse_json(line, f"{path}, line {number},", kind)
        for number, line in enumerate(read_bytes(path, kind).splitlines(), start=1)
        if line.strip()
    ]


def whole_lines(path: Path, kind: FileKind) -> Iterator[Any]:
    """Yield the JSON values of a file's lines, without those that are no JSON.

    For files that grow line by line: the last is being written, or whoever wrote it was killed.

    Raises
    ------
    QCQAError
        If the file cannot be read.
    """
    for line in read_bytes(path, kind).splitlines():
        try:
            yield parse_json(line, path, kind)
        except QCQAError:
            continue


def parse_json(content: bytes, path: Path | str, kind: FileKind) -> Any:
    """Return the value of a JSON text.

    Parameters
    ----------
    content : bytes
        The text in UTF-8.
    path : Path or str
        Where it is from, as errors say it.
    kind : FileKind
        What the file is to be.

    Raises
    ------
    QCQAError
        If it is no JSON, nested too deep, or holds numbers or letters that cannot be written.
    """
    text = as_text(content, path, kind)
    try:
        value = (
            json.loads(text, parse_int=_whole)
            if kind.takes_infinity
            else json.loads(text, parse_int=_whole, parse_float=_finite, parse_constant=_finite)
        )
        is_deep = _depth(value) > _MOST_DEPTH
    except RecursionError:
        is_deep = True
    except ValueError as error:
        raise kind.damaged(path, f"it is no JSON ({error})", expected="JSON") from error
    if is_deep:
        raise kind.damaged(path, "its JSON is nested too deep", expected=f"{_MOST_DEPTH} levels")
    if _SURROGATE.search(content):
        try:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError as error:
            raise kind.damaged(path, "it holds half a character (a surrogate)") from error
    return value


def as_object(value: Any, path: Path | str, kind: FileKind) -> dict[str, Any]:
    """Return a JSON value that has to be an object.

    Raises
    ------
    QCQAError
        If it is none.
    """
    if not isinstance(value, dict):
        raise kind.damaged(path, f"it holds no JSON object ({type(value).__name__})")
    return value


def as_record(value: Any, record: TypeAdapter[_T], path: Path | str, kind: FileKind) -> _T:
    """Return a JSON value as a record.

    Raises
    ------
    QCQAError
        Which names the first field that is missing or wrong.
    """
    try:
        with kind.understanding(path):
            return record.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise kind.damaged(path, ": ".join(filter(None, (where, first["msg"])))) from error


def _whole(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"{text[:20]} is no finite number")
    return number


def _depth(value: Any) -> int:
    """Return how deep lists and objects are nested."""
    depth, level = 0, [value] if isinstance(value, dict | list) else []
    while level:
        depth += 1
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
    return depth
