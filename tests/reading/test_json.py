"""JSON of anybody: what is wrong with it is the error of the file's kind, in one line."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from qcqa.errors import BudgetError, RunError
from qcqa.reading.file import FileKind, read_text
from qcqa.reading.json_file import (
    read_json,
    read_lines,
    read_object,
    read_record,
    whole_lines,
)

KIND = FileKind("a list of pears", RunError, "count them again", most_bytes=10_000)


def _refusal(path: Path, read: Callable[[Path, FileKind], object] = read_json) -> str:
    with pytest.raises(RunError) as refused:
        read(path, KIND)
    line = refused.value.one_line()
    assert "\n" not in line
    assert str(path) in line
    assert line.endswith("; count them again")
    return line


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff", "byte 0 is 0xff, which is no UTF-8; expected text in UTF-8"),
        (b"", "it is no JSON (Expecting value"),
        (b"{", "it is no JSON"),
        (b"[" * 1000, "nested too deep; expected 100 levels"),
        (b'{"a":' * 2000, "nested too deep"),
        (b"[" * 101 + b"]" * 101, "nested too deep"),
        (b"1e999", "1e999 is no finite number"),
        (b"[NaN]", "NaN is no finite number"),
        (b"-Infinity", "-Infinity is no finite number"),
        (b"9" * 5000, "a number of 5000 digits"),
        (b'["\\ud800"]', "half a character"),
        (b"[" + b"1," * 6000 + b"1]", "it has 12,003 bytes; expected a list of pears of at most"),
    ],
)
def test_what_no_reader_should_meet_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "pears.json"
    path.write_bytes(content)
    assert said in _refusal(path)


def test_what_is_written_on_purpose_is_read(tmp_path: Path) -> None:
    path = tmp_path / "pears.json"
    for text in ("[" * 100 + "]" * 100, '"\\ud83c\\udf50"', "123456789012345678901234567890"):
        path.write_text(text)
        read_json(path, KIND)
    path.write_text('[1e999, "Infinity", -Infinity]')
    limitless = FileKind("a config", RunError, takes_infinity=True)
    assert read_json(path, limitless) == [float("inf"), "Infinity", -float("inf")]


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    long_name = tmp_path / ("x" * 300)
    assert "cannot be read: file name too long; expected a list of pears" in _refusal(long_name)
    assert "cannot be read: it is a folder" in _refusal(tmp_path)
    assert "cannot be read: there is no file of that name" in _refusal(tmp_path / "none.json")
    os.mkfifo(tmp_path / "pipe")
    assert "cannot be read: it is no plain file" in _refusal(tmp_path / "pipe")
    assert "cannot be read: embedded null byte" in _refusal(tmp_path / "a\0b")


@pytest.mark.parametrize("text", ["1", "[]", "null", '"text"'])
def test_an_object_is_asked_for(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pears.json"
    path.write_text(text)
    assert "it holds no JSON object" in _refusal(path, read_object)


@dataclass(frozen=True)
class _Pears:
    count: int
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.count < 0:
            raise BudgetError(f"{self.count} pears", expected="0 or more")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1", "dictionary"),
        ('{"weights": []}', "count: Field required"),
        ('{"count": 1e3, "weights": ["a lot"]}', "weights.0: Input should be a valid number"),
        ('{"count": 1.5, "weights": []}', "count: Input should be a valid integer"),
        ('{"count": -1, "weights": []}', "-1 pears; expected 0 or more"),
    ],
)
def test_a_record_names_the_field_that_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "pears.json"
    path.write_text(text)
    record = TypeAdapter(_Pears)
    assert said in _refusal(path, lambda file, kind: read_record(file, record, kind))


def test_lines_are_read_all_or_those_that_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "pears.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": \n\xff\n' + b"[" * 1000 + b'\n2\n{"b')
    assert list(whole_lines(path, KIND)) == [{"a": 1}, 2]
    assert f"{path}, line 2," in _refusal(path, read_lines)
    path.write_bytes(b'{"a": 1}\r\n\n2\n')
    assert read_lines(path, KIND) == [{"a": 1}, 2]


def test_text_is_what_its_bytes_say(tmp_path: Path) -> None:
    path = tmp_path / "pears.txt"
    path.write_bytes("one\r\ntwo\rPêche\n".encode())
    assert read_text(path, KIND) == "one\ntwo\nPêche\n"
