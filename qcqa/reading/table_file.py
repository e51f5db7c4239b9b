"""Parquet tables, column by column: each of the type that it has to be.

What pandas wrote beside the columns is not given to pandas again: of a damaged file it raises
whatever its parsers come across.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from qcqa.reading.file import FileKind, opened, read_bytes
from qcqa.reading.json_file import as_object, parse_json

#: Equal values take no room in a file, however many they are: this is what they may take in memory.
_MOST_VALUES, _MOST_BYTES = 20_000_000, 2**30

#: Under what pandas keeps the attributes of a table.
_ATTRIBUTES = b"PANDAS_ATTRS"


@dataclass(frozen=True, slots=True, eq=False)
class TableFile:
    """A table that was read, of one row at least.

    Parameters
    ----------
    path : Path
        The file.
    kind : FileKind
        What it is to be.
    table : pyarrow.Table
        Its columns.
    about : mapping
        What its writer said of it, as JSON values.
    """

    path: Path
    kind: FileKind
    table: pa.Table
    about: Mapping[str, Any]

    def __contains__(self, name: str) -> bool:
        return name in self.table.column_names

    def integers(self, name: str) -> NDArray[np.int64]:
        """Return a column of whole numbers, shape (N,).

        Raises
        ------
        QCQAError
            If there is none.
        """
        column = self._column(name, "whole numbers", pa.types.is_signed_integer)
        return np.asarray(column.to_numpy(), dtype=np.int64)

    def floats(self, name: str) -> NDArray[np.float64]:
        """Return a column of finite numbers, shape (N,).

        Raises
        ------
        QCQAError
            If there is none.
        """
        column = self._column(name, "numbers", pa.types.is_floating)
        numbers = np.asarray(column.to_numpy(), dtype=np.float64)
        if not np.isfinite(numbers).all():
            raise self.kind.damaged(self.path, f"not all of its {name} are finite")
        return numbers

    def texts(self, name: str) -> list[str]:
        """Return a column of texts; equal ones are the same object.

        Raises
        ------
        QCQAError
            If there is none.
        """
        column = self._column(name, "texts", _are_texts).unify_dictionaries()
        words = column.chunk(0).dictionary.to_pylist()
        return [words[place] for chunk in column.chunks for place in chunk.indices.to_pylist()]

    def lists(self, name: str) -> list[list[int]]:
        """Return a column of lists of whole numbers.

        Raises
        ------
        QCQAError
            If there is none.
        """
        rows: list[list[int]] = self._column(name, "lists of numbers", _are_lists).to_pylist()
        if any(None in row for row in rows):
            raise self.kind.damaged(self.path, f"its column {name} has gaps")
        return rows

    def _column(self, name: str, what: str, fits: Callable[[pa.DataType], bool]) -> pa.ChunkedArray:
        found = self.table.column_names.count(name)
        if found != 1:
            raise self.kind.damaged(self.path, f"it has {found} columns {name}", expected="one")
        column = self.table.column(name)
        if not fits(column.type) or column.null_count:
            gaps = f" with {column.null_count} gaps" if column.null_count else ""
            raise self.kind.damaged(
                self.path, f"its column {name} has {column.type}{gaps}", expected=what
            )
        return column


def read_table(path: Path, kind: FileKind) -> TableFile:
    """Read a table.

    Raises
    ------
    QCQAError
        If the file cannot be read, is no Parquet, has no rows, or more than memory holds.
    """
    content = read_bytes(path, kind)
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        _refuse_bomb(file.metadata, path, kind)
        leaves = [file.schema.column(number) for number in range(len(file.schema))]
        texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
        # Few texts differ: they stay what they are in the file, places in a dictionary.
        file = pq.ParquetFile(pa.BufferReader(content), read_dictionary=texts)
        table = file.read(use_threads=False)
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise kind.damaged(path, f"it is no Parquet ({error})", expected="a table") from error
    if not table.num_rows:
        raise kind.damaged(path, "it has no rows", expected="a table with rows")
    return TableFile(path, kind, table, _about(table.schema, path, kind))


def about_table(path: Path, kind: FileKind) -> Mapping[str, Any]:
    """Return what the writer of a table said of it; no row is read.

    Raises
    ------
    QCQAError
        If the file cannot be read or is no Parquet.
    """
    with opened(path, kind) as file:
        try:
            schema = pq.read_schema(file)
        except (pa.ArrowException, ValueError) as error:
            raise kind.damaged(path, f"it is no Parquet ({error})", expected="a table") from error
    return _about(schema, path, kind)


def _about(schema: pa.Schema, path: Path, kind: FileKind) -> Mapping[str, Any]:
    attributes = (schema.metadata or {}).get(_ATTRIBUTES, b"{}")
    where = f"{path}, {_ATTRIBUTES.decode()},"
    return as_object(parse_json(attributes, where, kind), where, kind)


def _refuse_bomb(about: pq.FileMetaData, path: Path, kind: FileKind) -> None:
    groups = [about.row_group(number) for number in range(about.num_row_groups)]
    columns = [group.column(number) for group in groups for number in range(group.num_columns)]
    values = max(about.num_rows, sum(column.num_values for column in columns))
    size = sum(max(0, column.total_uncompressed_size) for column in columns)
    if values > _MOST_VALUES or size > _MOST_BYTES:
        raise kind.damaged(
            path,
            f"it unpacks to {values:,} values of {size:,} bytes",
            expected=f"at most {_MOST_VALUES:,} of {_MOST_BYTES:,}",
        )


def _are_texts(of: pa.DataType) -> bool:
    return bool(
        pa.types.is_dictionary(of)
        and (pa.types.is_string(of.value_type) or pa.types.is_large_string(of.value_type))
    )


def _are_lists(of: pa.DataType) -> bool:
    is_list = pa.types.is_list(of) or pa.types.is_large_list(of)
    return bool(is_list and pa.types.is_signed_integer(of.value_type))
