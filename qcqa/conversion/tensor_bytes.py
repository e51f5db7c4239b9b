"""Bytes of safetensors files: one tensor in, one tensor out, and the header between."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from qcqa.errors import CheckpointError
from qcqa.model.safetensors_file import WEIGHTS, SafetensorsFile
from qcqa.reading.file import opened
from qcqa.reading.safetensors_file import StoredTensor, ends_early

_TORCH_TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}
_CHUNK_BYTES = 8 * 2**20
#: The data begin at a multiple of this, as the safetensors library writes them.
_ALIGNMENT = 8


@dataclass(frozen=True, slots=True)
class NewTensor:
    """A tensor of a converted checkpoint.

    Parameters
    ----------
    name : str
        Its name.
    source : StoredTensor
        Its entry in the source's shard, or another of its type where it is new.
    shape : tuple of int
        Its shape, smaller than the source's where heads are shared.
    """

    name: str
    source: StoredTensor
    shape: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        """Bytes of its data."""
        old_bytes, old_size = self.source.num_bytes, self.source.num_weights
        return old_bytes * prod(self.shape) // old_size if old_size else 0


def header(tensors: Sequence[NewTensor]) -> bytes:
    """Return the header of a file that holds these tensors in this order."""
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    start = 0
    for tensor in tensors:
        stop = start + tensor.num_bytes
        entries[tensor.name] = {
            "dtype": tensor.source.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [start, stop],
        }
        start = stop
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def chunks(file: SafetensorsFile, name: str) -> Iterator[bytes]:
    """Yield a stored tensor's bytes, a few MiB at a time.

    Raises
    ------
    CheckpointError
        If the file cannot be read or ends early.
    """
    stored = file.tensors[name]
    missing = stored.num_bytes
    with opened(file.path, WEIGHTS) as stream:
        stream.seek(file.data_start + stored.start)
        while missing:
            chunk = stream.read(min(missing, _CHUNK_BYTES))
            if not chunk:
                raise ends_early(file.path, WEIGHTS, f"within tensor {name}")
            missing -= len(chunk)
            yield chunk


def read_tensor(file: SafetensorsFile, name: str) -> Tensor:
    """Read a tensor in the type in which it is stored.

    Raises
    ------
    CheckpointError
        If the file cannot be read, ends early, or the tensor is of no float type.
    """
    stored = file.tensors[name]
    if stored.dtype not in _TORCH_TYPES:
        raise CheckpointError(
            f"{name} in {file.path} is stored as {stored.dtype}",
            expected=f"one of {', '.join(_TORCH_TYPES)}",
            remedy="use the model that it was quantized from",
        )
    # Joined into memory of our own, which torch may write to.
    data = bytearray().join(chunks(file, name))
    return torch.frombuffer(data, dtype=_TORCH_TYPES[stored.dtype]).reshape(stored.shape)


def bytes_of(tensor: Tensor, replaced: StoredTensor) -> memoryview:
    """Return a tensor's data as a file holds them, in the type of the one that it replaces."""
    return (
        tensor.detach()
        .to("cpu", _TORCH_TYPES[replaced.dtype])
        .contiguous()
        .reshape(-1)
        .view(torch.uint8)
        .numpy()
        .data
    )
