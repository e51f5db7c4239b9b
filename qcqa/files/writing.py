"""Writing files and folders so that a reader never sees half of one.

What is written lies beside its place, under a name of its own, until it is whole. For so long the
process that writes it holds a lock on it (:mod:`qcqa.files.locks`): what is locked by nobody was
left by a process that is gone, and is cleared away by whoever uses the place next.
"""

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import BytesIO
from pathlib import Path
from tempfile import gettempdir
from zipfile import ZipFile

from qcqa.files.locks import BusyError, hold

#: Earlier releases had the number of the process in place of a random one.
_LEFTOVER = re.compile(r"\.(?P<name>.+)\.([0-9a-f]{8}|[0-9]+)\.tmp")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the path of a new file, which takes the place of ``path`` at the end.

    If anything is raised, ``path`` stays as it was and nothing is left of the new file.

    Raises
    ------
    OSError
        If it cannot be written; it names ``path``.
    """
    remove_leftovers(path.parent, of=path.name)
    new = _beside(path)
    try:
        with ExitStack() as locked:
            _hold_new(locked, new)
            yield new
            if os.name == "nt":
                # Nothing that is open is renamed there.
                locked.close()
            new.replace(path)
    except OSError as error:
        # Of the file that was asked for, not of the one beside it; the number makes the subclass.
        # Some libraries tell a story in place of the system's few words.
        said = os.strerror(error.errno) if error.errno else str(error)
        raise OSError(error.errno, said, str(path)) from error
    finally:
        with suppress(OSError):
            new.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder beside ``path``; at the end it is gone, unless it was renamed.

    Raises
    ------
    OSError
        If it cannot be made.
    """
    path = path.absolute()
    remove_leftovers(path.parent, of=path.name)
    new = _beside(path)
    try:
        new.mkdir(parents=True)
        with ExitStack() as locked:
            _hold_new(locked, new)
            yield new
    finally:
        shutil.rmtree(new, ignore_errors=True)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a new folder of this user's own among the temporary ones; at the end it is gone.

    What processes that are gone left there of theirs is removed first.

    Raises
    ------
    OSError
        If it cannot be made.
    """
    with new_folder(Path(gettempdir()) / "qcqa") as new:
        new.chmod(0o700)
        yield new


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder, which takes the place of ``path``, where at most an empty one is.

    If anything is raised, nothing is left of the new folder.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    with new_folder(path) as new:
        yield new
        if path.is_dir():
            path.rmdir()
        new.replace(path)


def remove_folder(folder: Path) -> None:
    """Remove a folder: out of sight at once, so that nobody sees half of it.

    Raises
    ------
    OSError
        If it may not be removed.
    """
    remove_leftovers(folder.parent, of="deleted")
    leaving = _beside(folder.with_name("deleted"))
    folder.rename(leaving)
    with ExitStack() as locked:
        _hold_new(locked, leaving)
        shutil.rmtree(leaving)


def remove_leftovers(folder: Path, *, of: str | None = None, below: bool = False) -> None:
    """Remove what processes that are gone have left half-written; that of living ones stays.

    Parameters
    ----------
    folder : Path
        Where they have written.
    of : str, optional
        Only what was to become the file or folder of this name.
    below : bool
        Whether to look into the folders below, too.
    """
    with suppress(OSError):
        for path in list(folder.rglob(".*.tmp") if below else folder.glob(".*.tmp")):
            found = _LEFTOVER.fullmatch(path.name)
            if found and of in (None, found["name"]):
                _remove_if_left(path)


def _remove_if_left(path: Path) -> None:
    # Folders cannot be locked on Windows: there they stay, and what is open cannot be removed.
    with suppress(OSError, BusyError), ExitStack() as locked:
        if not path.is_symlink():
            locked.enter_context(hold(path))
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    """Return a new name in the same folder, for as long as what is written is not whole."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def _hold_new(locked: ExitStack, path: Path) -> None:
    """Lock what this process writes, wherever files can be locked."""
    try:
        locked.enter_context(hold(path))
    except (OSError, BusyError):
        if not path.exists():
            raise


def write_bytes_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` so that ``path`` holds either its old content or all of the new.

    Raises
    ------
    OSError
        If it cannot be written; nothing is left of it.
    """
    with replacing(path) as new:
        new.write_bytes(content)


def write_text_atomically(path: Path, text: str) -> None:
    """Write ``text`` in UTF-8; see :func:`write_bytes_atomically`."""
    write_bytes_atomically(path, text.encode("utf-8"))


def append_line(path: Path, line: str) -> None:
    """Add a line to a file of lines, after cutting off one that was left half-written.

    Raises
    ------
    OSError
        If it cannot be written; it names ``path``.
    """
    try:
        with path.open("ab+") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 1))
            if file.read(1) not in (b"", b"\n"):
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
            file.write(line.encode() + b"\n")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def zipped(folder: Path) -> bytes:
    """Return a zip of a folder, with the folder's name before every file's.

    Nothing is compressed: weights do not get smaller.
    """
    archive = BytesIO()
    with ZipFile(archive, "w") as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, Path(folder.name) / path.relative_to(folder))
    return archive.getvalue()
