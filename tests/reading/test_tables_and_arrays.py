"""Tables and arrays of anybody: each of the type, the shape and the size that is asked for."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from qcqa.errors import RunError
from qcqa.reading.file import FileKind
from qcqa.reading.safetensors_file import ArraysFile, read_header
from qcqa.reading.table_file import read_table

KIND = FileKind("pears", RunError, "count them again", most_bytes=None)


def _refusal(act: Callable[[], object]) -> str:
    with pytest.raises(RunError) as refused:
        act()
    assert "\n" not in refused.value.one_line()
    return refused.value.one_line()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    frame = pd.DataFrame(
        {"n": [1, 2, 3], "x": [0.5, 1.5, 2.5], "t": ["a", "b", "a"], "l": [[1], [2, 3], [4]]}
    )
    frame.attrs = {"fitness": "wse"}
    frame.to_parquet(tmp_path / "pears.parquet", index=False)
    return tmp_path / "pears.parquet"


def test_columns_come_as_they_were_written(table: Path) -> None:
    read = read_table(table, KIND)
    assert read.integers("n").tolist() == [1, 2, 3]
    assert read.floats("x").tolist() == [0.5, 1.5, 2.5]
    assert read.texts("t") == ["a", "b", "a"]
    assert read.lists("l") == [[1], [2, 3], [4]]
    assert read.about == {"fitness": "wse"}
    assert "n" in read
    assert "m" not in read


def test_columns_of_another_type_are_refused(table: Path) -> None:
    read = read_table(table, KIND)
    assert "it has 0 columns m; expected one" in _refusal(lambda: read.integers("m"))
    assert "its column x has double; expected whole" in _refusal(lambda: read.integers("x"))
    assert "its column n has int64; expected numbers" in _refusal(lambda: read.floats("n"))
    assert "its column n has int64; expected texts" in _refusal(lambda: read.texts("n"))
    assert "expected lists of numbers" in _refusal(lambda: read.lists("t"))


@pytest.mark.parametrize(
    ("columns", "read", "said"),
    [
        ({"n": pa.array([1, None])}, lambda table: table.integers("n"), "int64 with 1 gaps"),
        ({"x": pa.array([1.0, float("nan")])}, lambda table: table.floats("x"), "are finite"),
        ({"l": pa.array([[1, None]])}, lambda table: table.lists("l"), "its column l has gaps"),
        ({"n": pa.array([], pa.int64())}, lambda _: None, "it has no rows"),
    ],
)
def test_gaps_and_nothing_are_refused(
    tmp_path: Path, columns: dict[str, pa.Array], read: Callable[[Any], object], said: str
) -> None:
    path = tmp_path / "pears.parquet"
    pq.write_table(pa.table(columns), path)
    assert said in _refusal(lambda: read(read_table(path, KIND)))


@pytest.mark.parametrize("told", ["1", "{", "[" * 1000, "NaN", "\0"])
def test_what_pandas_keeps_beside_is_not_trusted(tmp_path: Path, told: str) -> None:
    path = tmp_path / "pears.parquet"
    pq.write_table(
        pa.table({"n": [1]}).replace_schema_metadata({"PANDAS_ATTRS": told, "pandas": told}), path
    )
    assert "PANDAS_ATTRS, is damaged" in _refusal(lambda: read_table(path, KIND))


def test_a_table_that_would_fill_the_memory_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "pears.parquet"
    pq.write_table(pa.table({"n": np.zeros(30_000_000, dtype=np.int64)}), path)
    assert path.stat().st_size < 200_000
    assert "unpacks to 30,000,000 values" in _refusal(lambda: read_table(path, KIND))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"\0" * 100 + b"PAR1", b"\xff" * 99])
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "pears.parquet"
    path.write_bytes(content)
    assert "it is no Parquet" in _refusal(lambda: read_table(path, KIND))


@pytest.fixture
def arrays(tmp_path: Path) -> Path:
    path = tmp_path / "pears.safetensors"
    save_file(
        {"n": np.arange(3), "x": np.ones((2, 3), dtype=np.float32), "yes": np.array([True])},
        path,
        metadata={"qcqa": '{"format": "pears"}', "one": "1"},
    )
    return path


def test_arrays_come_as_they_were_written(arrays: Path) -> None:
    file = ArraysFile(arrays, KIND)
    assert file.about() == {"format": "pears"}
    assert file.array("n", np.signedinteger, (3,)).tolist() == [0, 1, 2]
    assert file.array("x", np.floating, (None, 3)).shape == (2, 3)
    assert file.array("yes", np.bool_).tolist() == [True]


def test_arrays_and_metadata_of_another_kind_are_refused(arrays: Path) -> None:
    file = ArraysFile(arrays, KIND)
    assert "no array m" in _refusal(lambda: file.array("m", np.floating))
    assert "n is I64 of shape (3,)" in _refusal(lambda: file.array("n", np.floating))
    said = _refusal(lambda: file.array("x", np.floating, (None, 4)))
    assert "x is F32 of shape (2, 3); expected floating of (any, 4)" in said
    assert "its metadata have no none" in _refusal(lambda: file.about("none"))
    assert "it holds no JSON object (int)" in _refusal(lambda: file.about("one"))


def _with_header(path: Path, header: bytes, data: bytes = b"\0" * 8) -> Path:
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)
    return path


def _entry(**changes: object) -> bytes:
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | changes
    return json.dumps({"x": entry}).encode()


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b"[" * 1000, "nested too deep"),
        (b"[]", "no JSON object"),
        (b'{"__metadata__": 1}', "dictionary"),
        (b'{"__metadata__": {"a": 1}}', "a: Input should be a valid string"),
        (b'{"x": 1}', "no dtype, shape and data_offsets"),
        (_entry(shape=[2.0]), "F32 of shape [2.0]"),
        (_entry(shape=[-2]), "F32 of shape [-2]"),
        (_entry().replace(b"[2]", b"[1e999]"), "1e999 is no finite number"),
        (_entry(shape=[10**20]), "it gives 8 bytes to x; expected 400000000000000000000 for shape"),
        (_entry(data_offsets=[8, 0]), "from 8 to 0"),
        (_entry(data_offsets=[0, 8, 16]), "no dtype, shape and data_offsets"),
        (_entry(data_offsets=[800, 808]), "it ends early"),
    ],
)
def test_a_damaged_header_is_refused(tmp_path: Path, header: bytes, said: str) -> None:
    path = _with_header(tmp_path / "pears.safetensors", header)
    assert said in _refusal(lambda: read_header(path, KIND))
