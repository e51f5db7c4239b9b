"""Reading parts of a safetensors file of weights as float32, without torch.

Only the rows that are wanted are read, bfloat16 among them, with a small footprint.
"""

from collections.abc import Sequence
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qcqa.errors import CheckpointError
from qcqa.reading.file import FileKind, opened
from qcqa.reading.safetensors_file import NUMPY_TYPES, fill, read_header

#: How each type of a weight is called in :class:`~qcqa.model.spec.ModelSpec`, by its code.
FLOAT_NAMES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}

#: A file of weights, of any size.
WEIGHTS = FileKind(
    "a safetensors file", CheckpointError, "download the file again", most_bytes=None
)

#: Small enough to stay in a core's cache between being read and being widened.
_CHUNK_BYTES = 512 * 1024


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
        header = read_header(path, WEIGHTS)
        self.data_start, self.tensors = header.data_start, header.tensors

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
        chunk = np.empty((rows_per_chunk, width), dtype=NUMPY_TYPES[tensor.dtype])
        stored_ranges = [(0, tensor.shape[0])] if transposed else ranges
        wanted = np.concatenate([np.arange(*stretch) for stretch in ranges]) if transposed else None
        filled = 0
        # Chunks go straight from the page cache into our own array.
        with opened(self.path, WEIGHTS) as file:
            for first, last in stored_ranges:
                file.seek(self.data_start + tensor.start + first * row_bytes)
                for row in range(first, last, rows_per_chunk):
                    part = chunk[: min(rows_per_chunk, last - row)]
                    fill(file, part, self.path, WEIGHTS, name)
                    if wanted is None:
                        _widen(part, out[filled : filled + len(part)])
                    else:
                        columns = np.empty((len(part), len(wanted)), dtype=np.float32)
                        _widen(part[:, wanted], columns)
                        out[:, filled : filled + len(part)] = columns.T
                    filled += len(part)


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
