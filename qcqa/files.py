"""Writing files and folders so that a reader never sees half of one."""

import os
import shutil
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

from qcqa.errors import ConversionError
from qcqa.user_path import is_folder

_GIB = 2**30


def temporary_beside(path: Path) -> Path:
    """Return a name in the same folder under which a file is written before it is renamed."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def remove_leftovers(path: Path) -> None:
    """Remove what processes that are gone have left under such names; that of others stays."""
    if not path.parent.is_dir():
        return
    start, end = f".{path.name}.", ".tmp"
    for leftover in path.parent.iterdir():
        pid = leftover.name.removeprefix(start).removesuffix(end)
        if leftover.name == f"{start}{pid}{end}" and pid.isdecimal() and not _is_alive(int(pid)):
            shutil.rmtree(leftover, ignore_errors=True)


def write_bytes_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` so that ``path`` holds either its old content or all of the new.

    Raises
    ------
    OSError
        If it cannot be written; nothing is left of it.
    """
    temporary = temporary_beside(path)
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        # Of the file that was asked for, not of the one beside it; the number makes the subclass.
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_text_atomically(path: Path, text: str) -> None:
    """Write ``text`` in UTF-8; see :func:`write_bytes_atomically`."""
    write_bytes_atomically(path, text.encode("utf-8"))


def zipped(folder: Path) -> bytes:
    """Return a zip of a folder, with the folder's name before every file's.

    Nothing is compressed: weights do not get smaller.
    """
    archive = BytesIO()
    with ZipFile(archive, "w") as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, Path(folder.name) / path.relative_to(folder))
    return archive.getvalue()


def require_empty(folder: Path) -> None:
    """Refuse a folder that holds anything.

    Raises
    ------
    ConversionError
        If it is neither new nor empty.
    """
    found = is_folder(folder, ConversionError)
    if found is False:
        raise ConversionError(f"{folder} is a file", expected="a new or an empty folder")
    if found and any(folder.iterdir()):
        raise ConversionError(
            f"{folder} is not empty",
            expected="a new or an empty folder",
            remedy="choose another one, or remove what is in it",
        )


def require_writable(folder: Path) -> None:
    """Refuse a folder that cannot be made.

    Raises
    ------
    ConversionError
        If this user may not write where it is to be.
    """
    place = _existing(folder)
    if not place.is_dir():
        raise ConversionError(f"{place} is a file", expected="a folder to write into")
    if not os.access(place, os.W_OK | os.X_OK):
        raise ConversionError(
            f"{place} cannot be written to", remedy="choose a folder that you may write to"
        )


def free_bytes(folder: Path) -> int:
    """Return the bytes that are free on the disk where a folder is, or is to be."""
    return shutil.disk_usage(_existing(folder)).free


def require_room(folder: Path, num_bytes: int) -> None:
    """Refuse a folder on a disk without room.

    Raises
    ------
    ConversionError
        If less than ``num_bytes`` is free.
    """
    free = free_bytes(folder)
    if free < num_bytes:
        raise ConversionError(
            f"{_size(free)} free where {folder} is to be",
            expected=f"{_size(num_bytes)} for the converted model",
            remedy="make room or choose a folder on another disk",
        )


def _size(num_bytes: int) -> str:
    if num_bytes < _GIB:
        return f"{num_bytes / 2**20:.1f} MiB"
    return f"{num_bytes / _GIB:.2f} GiB"


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there."""
    places = (folder.absolute(), *folder.absolute().parents)
    return next(one for one in places if is_folder(one, ConversionError) is not None)


def _is_alive(pid: int) -> bool:
    if os.name != "posix":
        # Elsewhere the question would end the process.
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
