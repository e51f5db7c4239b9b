"""Writing files so that a reader never sees half of one."""

import os
from pathlib import Path


def temporary_beside(path: Path) -> Path:
    """Return a name in the same folder under which a file is written before it is renamed."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def write_bytes_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` so that ``path`` holds either its old content or all of the new."""
    temporary = temporary_beside(path)
    temporary.write_bytes(content)
    temporary.replace(path)


def write_text_atomically(path: Path, text: str) -> None:
    """Write ``text`` in UTF-8; see :func:`write_bytes_atomically`."""
    write_bytes_atomically(path, text.encode("utf-8"))
