"""Reading parts of a safetensors file as float32, without torch.

The safetensors library hands out numpy arrays of every type but bfloat16, and maps the whole file
into memory. The format is a JSON header and then bare little-endian arrays, so reading it here
costs few lines, and gives bfloat16, only the rows that are wanted and a small footprint.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import FileIO
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qcqa.errors import CheckpointError

#: How each type of a weight is called in :class:`~qcqa.model.spec.ModelSpec`, by its code.
FLOAT_NAMES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}

#: numpy has no bfloat16: its bits are the upper half of a float32's.
_NUMPY_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}

_MAX_HEADER_BYTES = 100_000_000
_LFS_POINTER = b"version "
#: Small enough to stay in a core's cache between being read and being widened.
_CHUNK_BYTES = 512 * 1024


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
        """Bytes per element of a float type."""
        return np.dtype(_NUMPY_TYPES[self.dtype]).itemsize


class SafetensorsFile:
    """One file of weights: its header is read at once, its tensors on demand.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    CheckpointError
        If it cannot be read, is no safetensors file or ends early.
    """

    def __init__(self, path: Path):
        self.path = path
        try:
            with path.open("rb", buffering=0) as file:
                self.data_start, self.tensors = _read_header(file, path)
        except OSError as error:
            raise CheckpointError(f"{path} cannot be read ({error.strerror})") from error

    def read_rows(
        self,
        name: str,
        ranges: Sequence[tuple[int, int]],
        out: NDArray[np.float32],
        *,
        transposed: bool = False,
    ) -> None:
        """Read output rows of a weight, or entries of a bias, as float32.

        Parameters
        ----------
        name : str
            The tensor, of a float type.
        ranges : sequence of (int, int)
            First and past-the-last output row of each stretch; n rows in all.
        out : array, shape (n, d)
            Filled; d is 1 for a bias.
        transposed : bool
            Whether the weight is stored as (in, out).

        Raises
        ------
        CheckpointError
            If the file cannot be read or ends early.
        """
        tensor = self.tensors[name]
        width = prod(tensor.shape[1:])
        row_bytes = width * tensor.item_bytes
        rows_per_chunk = max(1, _CHUNK_BYTES // row_bytes)
        chunk = np.empty((rows_per_chunk, width), dtype=_NUMPY_TYPES[tensor.dtype])
        stored_ranges = [(0, tensor.shape[0])] if transposed else ranges
        wanted = np.concatenate([np.arange(*one) for one in ranges]) if transposed else None
        filled = 0
        try:
            # Unbuffered, because chunks go straight from the page cache into our own array.
            with self.path.open("rb", buffering=0) as file:
                for first, last in stored_ranges:
                    file.seek(self.data_start + tensor.start + first * row_bytes)
                    for row in range(first, last, rows_per_chunk):
                        part = chunk[: min(rows_per_chunk, last - row)]
                        self._fill(file, part, name)
                        if wanted is None:
                            _widen(part, out[filled : filled + len(part)])
                        else:
                            columns = np.empty((len(part), len(wanted)), dtype=np.float32)
                            _widen(part[:, wanted], columns)
                            out[:, filled : filled + len(part)] = columns.T
                        filled += len(part)
        except OSError as error:
            raise CheckpointError(f"{self.path} cannot be read ({error.strerror})") from error

    def _fill(self, file: FileIO, part: NDArray[np.generic], name: str) -> None:
        buffer = part.reshape(-1).view(np.uint8).data
        while buffer:
            count = file.readinto(buffer)
            if not count:
                raise _ends_early(self.path, f"within tensor {name}")
            buffer = buffer[count:]


def _widen(stored: NDArray[np.generic], out: NDArray[np.float32]) -> None:
    """Convert a chunk to float32; bfloat16 comes as its bits."""
    if stored.dtype == np.uint16:
        bits = out.view(np.uint32)
        bits[...] = stored
        np.left_shift(bits, 16, out=bits)
    else:
        # A float64 out of range becomes infinite, which is refused by name later.
        with np.errstate(over="ignore"):
            out[...] = stored


def _read_header(file: FileIO, path: Path) -> tuple[int, Mapping[str, StoredTensor]]:
    """Return where the data begin, and the tensors."""
    file_bytes = path.stat().st_size
    prefix = file.read(8)
    if prefix == _LFS_POINTER:
        raise CheckpointError(
            f"{path} is a Git LFS pointer, not the weights", remedy="run git lfs pull there"
        )
    header_bytes = int.from_bytes(prefix, "little")
    if len(prefix) < 8 or header_bytes > _MAX_HEADER_BYTES:
        raise CheckpointError(
            f"{path} is no safetensors file", remedy="download or convert the model again"
        )
    data_start = 8 + header_bytes
    if data_start > file_bytes:
        raise _ends_early(path, "within its header")
    try:
        entries = json.loads(file.read(header_bytes))
        tensors = {
            name: StoredTensor(
                dtype=str(entry["dtype"]),
                shape=tuple(int(size) for size in entry["shape"]),
                start=int(entry["data_offsets"][0]),
                stop=int(entry["data_offsets"][1]),
            )
            for name, entry in entries.items()
            if name != "__metadata__"
        }
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise CheckpointError(
            f"{path} has a damaged safetensors header", remedy="download the file again"
        ) from error
    for name, tensor in tensors.items():
        if tensor.dtype in FLOAT_NAMES:
            expected = tensor.num_weights * tensor.item_bytes
            if tensor.start < 0 or tensor.num_bytes != expected:
                raise CheckpointError(
                    f"{path} gives {tensor.num_bytes} bytes to {name}",
                    expected=f"{expected} for shape {tensor.shape}",
                    remedy="download the file again",
                )
    data_bytes = max((tensor.stop for tensor in tensors.values()), default=0)
    if data_start + data_bytes > file_bytes:
        raise _ends_early(path, f"at {file_bytes} bytes", expected=f"{data_start + data_bytes}")
    return data_start, tensors


def _ends_early(path: Path, where: str, *, expected: str | None = None) -> CheckpointError:
    return CheckpointError(
        f"{path} ends early, {where}", expected=expected, remedy="download the file again"
    )
