"""safetensors: a header in JSON, then bare little-endian arrays.

The safetensors library maps the whole file into memory and has no numpy array for bfloat16; what a
damaged file makes it raise depends on its release. The format is small enough to be read here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from qcqa.errors import QCQAError
from qcqa.reading.file import FileKind, opened
from qcqa.reading.json_file import as_object, as_record, parse_json

#: numpy's types by the format's codes. It has no bfloat16: its bits are the upper half of a
#: float32's.
NUMPY_TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "BOOL": "|b1",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1",
}  # fmt: skip

_MOST_HEADER_BYTES = 100_000_000
_LFS_POINTER = b"version "


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One entry of a header.

    Parameters
    ----------
    dtype : str
        Code of the type, as ``BF16``.
    shape : tuple of int
        Shape.
    start, stop : int
        Bytes after the header.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int

    @property
    def num_bytes(self) -> int:
        """Bytes of its data."""
        return self.stop - self.start

    @property
    def num_weights(self) -> int:
        """Numbers in it."""
        return prod(self.shape)

    @property
    def item_bytes(self) -> int:
        """Bytes per element of a type that numpy can hold."""
        return np.dtype(NUMPY_TYPES[self.dtype]).itemsize


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of its content; all of it lies within the file.

    Parameters
    ----------
    data_start : int
        Where the arrays begin.
    tensors : mapping of str to StoredTensor
        By name.
    metadata : mapping of str to str
        What else its writer said.
    """

    data_start: int
    tensors: Mapping[str, StoredTensor]
    metadata: Mapping[str, str]


_METADATA = TypeAdapter(dict[str, str])


@dataclass(frozen=True)
class ArraysFile:
    """A file of arrays that this project wrote: its header is read at once, its arrays on demand.

    Parameters
    ----------
    path : Path
        The file.
    kind : FileKind
        What it is to be.
    """

    path: Path
    kind: FileKind

    @cached_property
    def header(self) -> Header:
        """What is in it.

        Raises
        ------
        QCQAError
            If the file cannot be read or is damaged.
        """
        return read_header(self.path, self.kind)

    def about(self, key: str = "qcqa") -> dict[str, Any]:
        """Return the JSON object that the file's metadata hold under a key.

        Raises
        ------
        QCQAError
            If there is none, or the file cannot be read.
        """
        text = self.header.metadata.get(key)
        if text is None:
            raise self.kind.damaged(self.path, f"its metadata have no {key}")
        where = f"{self.path}, metadata {key},"
        return as_object(parse_json(text.encode(), where, self.kind), where, self.kind)

    def array(
        self, name: str, dtype: type[np.generic], shape: tuple[int | None, ...] | None = None
    ) -> Any:
        """Read one array.

        Parameters
        ----------
        name : str
            Which.
        dtype : type
            numpy's kind of its numbers, such as ``np.floating``.
        shape : tuple of int or None, optional
            Its shape, with None where any size will do; by default any shape will.

        Raises
        ------
        QCQAError
            If it is not there, of another type or shape, or cannot be read.
        """
        stored = self.header.tensors.get(name)
        if stored is None:
            raise self.kind.damaged(self.path, f"it has no array {name}")
        # In bfloat16 nothing is written here.
        code = NUMPY_TYPES.get(stored.dtype) if stored.dtype != "BF16" else None
        is_kind = code is not None and np.issubdtype(np.dtype(code), dtype)
        if not is_kind or (shape is not None and not _fits(stored.shape, shape)):
            sizes = "any shape" if shape is None else str(shape).replace("None", "any")
            raise self.kind.damaged(
                self.path,
                f"{name} is {stored.dtype} of shape {stored.shape}",
                expected=f"{dtype.__name__} of {sizes}",
            )
        array: NDArray[Any] = np.empty(stored.shape, dtype=code)
        with opened(self.path, self.kind) as file:
            file.seek(self.header.data_start + stored.start)
            fill(file, array, self.path, self.kind, name)
        return array


def read_header(path: Path, kind: FileKind) -> Header:
    """Read the header of a file, and check that its arrays are in it.

    Raises
    ------
    QCQAError
        If the file cannot be read, is no safetensors file, or ends early.
    """
    with opened(path, kind) as file:
        file_bytes = path.stat().st_size
        prefix = file.read(8)
        if prefix == _LFS_POINTER:
            raise kind.refusal(
                f"{path} is a Git LFS pointer, not the weights", remedy="run git lfs pull there"
            )
        header_bytes = int.from_bytes(prefix, "little")
        if len(prefix) < 8 or header_bytes > _MOST_HEADER_BYTES:
            raise kind.damaged(path, "it is no safetensors file", expected="a safetensors file")
        data_start = 8 + header_bytes
        if data_start > file_bytes:
            raise ends_early(path, kind, "within its header")
        content = file.read(header_bytes)
    where = f"{path}, safetensors header,"
    entries = as_object(parse_json(content, where, kind), where, kind)
    metadata = as_record(entries.pop("__metadata__", None) or {}, _METADATA, where, kind)
    tensors = {
        name: _tensor(entry, f"{where} tensor {name}", kind) for name, entry in entries.items()
    }
    for name, tensor in tensors.items():
        if tensor.dtype in NUMPY_TYPES:
            expected = tensor.num_weights * tensor.item_bytes
            if tensor.num_bytes != expected:
                raise kind.damaged(
                    path,
                    f"it gives {tensor.num_bytes} bytes to {name}",
                    expected=f"{expected} for shape {tensor.shape}",
                )
    data_bytes = max((tensor.stop for tensor in tensors.values()), default=0)
    if data_start + data_bytes > file_bytes:
        needed = f"{data_start + data_bytes}"
        raise ends_early(path, kind, f"at {file_bytes} bytes", expected=needed)
    return Header(data_start, tensors, metadata)


def fill(file: BinaryIO, out: NDArray[Any], path: Path, kind: FileKind, name: str) -> None:
    """Fill an array with the next bytes of a file; ``name`` is the tensor that they are of.

    Raises
    ------
    QCQAError
        If the file ends before.
    """
    buffer = out.reshape(-1).view(np.uint8).data
    while buffer:
        # Unbuffered files have it, though their protocol does not say so.
        count = file.readinto(buffer)  # type: ignore[attr-defined]
        if not count:
            raise ends_early(path, kind, f"within tensor {name}")
        buffer = buffer[count:]


def ends_early(path: Path, kind: FileKind, where: str, *, expected: str | None = None) -> QCQAError:
    """Return the error for a file that was cut."""
    return kind.damaged(path, f"it ends early, {where}", expected=expected)


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        size in (None, found) for size, found in zip(wanted, shape, strict=True)
    )


def _tensor(entry: Any, where: str, kind: FileKind) -> StoredTensor:
    try:
        dtype, shape, (start, stop) = entry["dtype"], entry["shape"], entry["data_offsets"]
        sizes = (*shape, start, stop)
    except (KeyError, TypeError, ValueError) as error:
        raise kind.damaged(where, f"it has no dtype, shape and data_offsets ({error})") from error
    is_whole = all(type(size) is int for size in sizes) and min(sizes) >= 0
    if not isinstance(dtype, str) or not is_whole or start > stop:
        raise kind.damaged(where, f"{dtype} of shape {shape} from {start} to {stop}")
    return StoredTensor(dtype, tuple(shape), start, stop)
