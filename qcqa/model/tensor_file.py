"""Writing arrays as a safetensors file: the same bytes for the same content."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors.numpy import save

from qcqa.files.writing import write_bytes_atomically


def write_tensors(
    path: Path, arrays: Mapping[str, NDArray[Any]], about: Mapping[str, str] | None = None
) -> None:
    """Write arrays, and what is said about them in the header, atomically.

    The library writes metadata in another order in each process, so that two files of one content
    would differ.

    Raises
    ------
    OSError
        If the file cannot be written; nothing is left of it.
    """
    content = save(dict(arrays), metadata=dict(about) if about else None)
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    if about:
        header["__metadata__"] = dict(sorted(about.items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    # The data begin at a multiple of eight.
    text += b" " * (-len(text) % 8)
    write_bytes_atomically(
        path, b"".join((len(text).to_bytes(8, "little"), text, memoryview(content)[8 + size :]))
    )
